# shellcheck shell=bash
# Command-line options for shell scripts; to be sourced:
#
#   nj=4
#   feats_dir=
#   help_message="usage: steps/x.sh [--nj 4] [--feats-dir DIR] <data-dir>"
#   . "$ROOT"/utils/parse_options.sh
#
# Each variable that the script assigns at the beginning of a line above this one, with a name in
# small letters, is an option: `--feats-dir x` or `--feats-dir=x` sets feats_dir. Nothing else is:
# not the environment, not the shell's own variables. Values are taken literally, never evaluated.
# Options end at the first argument that is none, or at `--`; arguments stay in "$@". An unknown
# name, a missing value, `true/false` options with another value, and an option among the arguments
# are errors. `--help` prints $help_message.

_po_fail() {
  printf 'error: %s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# The nearest of the names $2... to $1, as "; did you mean --x?", else the list of all.
_po_nearest() {
  python3 - "$@" <<'EOF' 2>/dev/null || printf ' (try --help)'
import difflib, sys
wrong, *names = [a.replace("_", "-") for a in sys.argv[1:]]
near = difflib.get_close_matches(wrong, names, 1, 0.45)
known = "options: " + " ".join("--" + n for n in names) if names else "there are no options"
print(f"; did you mean --{near[0]}?" if near else f" ({known})", end="")
EOF
}

_po_names=()
_po_script=
for _po_line in "${BASH_SOURCE[1]:-}" "${OLDPWD:-}/${BASH_SOURCE[1]:-}"; do  # it may have done a cd
  if [ -z "$_po_script" ] && grep -qs parse_options.sh "$_po_line"; then _po_script=$_po_line; fi
done
[ -n "$_po_script" ] || _po_fail "parse_options.sh must be sourced by a script"
while IFS= read -r _po_line; do
  [[ $_po_line != '#'* && $_po_line == *parse_options.sh* ]] && break
  if [[ $_po_line =~ ^([a-z][A-Za-z0-9_]*)= ]]; then
    _po_name=${BASH_REMATCH[1]}
    if [[ $_po_name != help_message && -n ${!_po_name+set} && " ${_po_names[*]} " != *" $_po_name "* ]]; then
      _po_names+=("$_po_name")
    fi
  fi
done < "$_po_script"

while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      printf '%s\n' "${help_message:-no help was written for this script}"
      exit 0
      ;;
    --)
      shift
      _po_rest_is_free=true
      break
      ;;
    --*) ;;
    *) break ;;
  esac
  _po_name=${1#--}
  _po_name=${_po_name%%=*}
  _po_shown=--$_po_name
  _po_name=${_po_name//-/_}
  if [[ " ${_po_names[*]} " != *" $_po_name "* || -z $_po_name ]]; then
    _po_fail "unknown option $_po_shown$(_po_nearest "$_po_name" "${_po_names[@]}")"
  fi
  if [[ $1 == *=* ]]; then
    _po_value=${1#*=}
  else
    if [ $# -lt 2 ] || [[ $2 == --?* ]]; then
      _po_fail "option $_po_shown needs a value (to give one that begins with --, write $_po_shown=VALUE)"
    fi
    _po_value=$2
    shift
  fi
  shift
  if [[ ${!_po_name} =~ ^(true|false)$ && ! $_po_value =~ ^(true|false)$ ]]; then
    _po_fail "option $_po_shown is true or false, not '$_po_value'"
  fi
  printf -v "$_po_name" %s "$_po_value"
done

if [ -z "${_po_rest_is_free:-}" ]; then
  for _po_value; do
    if [[ $_po_value == --?* ]]; then
      _po_fail "$_po_value comes after the argument '$1'; options go before arguments"
    fi
  done
fi
unset _po_script _po_names _po_line _po_name _po_shown _po_value _po_rest_is_free
unset -f _po_fail _po_nearest
