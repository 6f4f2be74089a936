# shellcheck shell=bash
# Command-line options and usage text of a script; to be sourced:
#
#   nj=4              # N: number of parallel jobs
#   feats_dir=        # DIR: archived features; default: those of stage 5
#   quick=false       # skip the checks
#   help_message="Usage: $0 [options] <data>
#   Write <data>/x."
#   ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
#   . "$ROOT"/utils/parse_options.sh
#
# Each variable that the script assigns at the beginning of a line above the last one, with a name in
# lower case, is an option: `--feats-dir x` or `--feats-dir=x` sets feats_dir. Variables of the
# environment and of the shell are not options. Values are taken literally and never evaluated.
# Options end at the first argument that is not an option, or at `--`; the arguments stay in "$@".
# An unknown name, a missing value, a value other than true or false for an option that is true or
# false, and an option after the arguments are errors.
#
# `--help` prints $help_message and a line for each option, from the comment after its variable:
#   --nj N   number of parallel jobs (default: 4)
# Comment lines that follow an option continue its description. utils/log.sh is sourced as well.

# shellcheck source=utils/log.sh
. "$(dirname "${BASH_SOURCE[0]}")"/log.sh

_po_nearest() {  # the nearest of the names $2... to $1, as "; did you mean --x?", else all names
  python3 - "$@" <<'PYTHON' 2>/dev/null || printf ' (try --help)'
import difflib, sys
wrong, *names = [a.replace("_", "-") for a in sys.argv[1:]]
near = difflib.get_close_matches(wrong, names, 1, 0.45)
known = "options: " + " ".join("--" + n for n in names) if names else "there are no options"
print(f"; did you mean --{near[0]}?" if near else f" ({known})", end="")
PYTHON
}

_po_print_help() {
  local i line text value width=0 flags=() texts=()
  printf '%s\n' "${help_message:-Usage: $0 [options]}"
  for i in "${!_po_names[@]}"; do
    text=${_po_comments[i]} value=${_po_defaults[i]}
    if [[ $text =~ ^([^[:space:]:]+|\"[^\"]*\"):[[:space:]](.*)$ ]]; then
      line=${BASH_REMATCH[1]} text=${BASH_REMATCH[2]}
    elif [[ $value =~ ^(true|false)$ ]]; then
      line="true|false"
    else
      line=VALUE
    fi
    flags[i]="--${_po_names[i]//_/-} $line"
    texts[i]=$text${value:+ (default: $value)}
    if [ ${#flags[i]} -gt "$width" ]; then width=${#flags[i]}; fi
  done
  if [ ${#flags[@]} -gt 0 ]; then printf 'Options:\n'; fi
  for i in "${!flags[@]}"; do
    while IFS= read -r line; do
      printf '  %-*s  %s\n' "$width" "${flags[i]}" "$line"
      flags[i]=""
    done <<<"${texts[i]}"
  done
}

_po_names=() _po_defaults=() _po_comments=()
_po_script="" _po_name=""
for _po_line in "${BASH_SOURCE[1]:-}" "${OLDPWD:-}/${BASH_SOURCE[1]:-}"; do  # after a cd of the script
  if [ -z "$_po_script" ] && grep -qs parse_options.sh "$_po_line"; then _po_script=$_po_line; fi
done
[ -n "$_po_script" ] || die "parse_options.sh must be sourced by a script"
while IFS= read -r _po_line; do
  [[ $_po_line != '#'* && $_po_line == *parse_options.sh* ]] && break
  if [[ $_po_line =~ ^([a-z][A-Za-z0-9_]*)= ]]; then
    _po_name=${BASH_REMATCH[1]}
    if [[ $_po_name != help_message && -n ${!_po_name+set} && " ${_po_names[*]} " != *" $_po_name "* ]]; then
      _po_names+=("$_po_name")
      _po_defaults+=("${!_po_name}")
      if [[ $_po_line == *" # "* ]]; then _po_line=${_po_line#* # }; else _po_line=; fi
      _po_comments+=("$_po_line")
    else
      _po_name=
    fi
  elif [[ -n $_po_name && $_po_line =~ ^[[:space:]]+#[[:space:]](.*)$ ]]; then
    _po_comments[-1]+=$'\n'${BASH_REMATCH[1]}
  else
    _po_name=
  fi
done < "$_po_script"

while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      _po_print_help
      exit 0
      ;;
    --)
      shift
      _po_only_arguments=true
      break
      ;;
    --*) ;;
    *) break ;;
  esac
  _po_name=${1#--}
  _po_name=${_po_name%%=*}
  _po_flag=--$_po_name
  _po_name=${_po_name//-/_}
  if [[ " ${_po_names[*]} " != *" $_po_name "* || -z $_po_name ]]; then
    die "unknown option $_po_flag$(_po_nearest "$_po_name" "${_po_names[@]}")"
  fi
  if [[ $1 == *=* ]]; then
    _po_value=${1#*=}
  else
    if [ $# -lt 2 ] || [[ $2 == --?* ]]; then
      die "option $_po_flag needs a value (if the value begins with --, write $_po_flag=VALUE)"
    fi
    _po_value=$2
    shift
  fi
  shift
  if [[ ${!_po_name} =~ ^(true|false)$ && ! $_po_value =~ ^(true|false)$ ]]; then
    die "option $_po_flag is true or false, not '$_po_value'"
  fi
  printf -v "$_po_name" %s "$_po_value"
done

if [ -z "${_po_only_arguments:-}" ]; then
  for _po_value; do
    if [[ $_po_value == --?* ]]; then
      die "$_po_value comes after the argument '$1'; options go before arguments"
    fi
  done
fi
unset _po_script _po_names _po_defaults _po_comments
unset _po_line _po_name _po_flag _po_value _po_only_arguments
unset -f _po_nearest _po_print_help
