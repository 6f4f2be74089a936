# shellcheck shell=bash
# A custom corpus: --corpus is a CSV file or a Kaldi data dir. See README.md.
export corpora="corpus musan"

prepare_own() {
  "$ROOT"/local/prepare_own.py --set "${overrides?}" --nj "${nj:?}" "$@" "${corpus:?}" \
    data/local/corpus "${confs[@]:?}"
}

# check the machine, then the corpus, and report all problems of both
doctor() {
  local failed=0 options=(--check)
  if [ "${allow_partial:?}" = true ]; then options+=(--allow-partial); fi
  [ -n "${corpus:-}" ] || die "--corpus is missing" "add --corpus PATH, or set it in conf/site.sh"
  "$ROOT"/utils/doctor.sh --musan "${musan:-}" --disk 12 --allow-partial "$allow_partial" \
    --encoder "$(conf_values encoder.model)" --bert "$(conf_values bert.model)" "$@" || failed=1
  prepare_own "${options[@]}" || failed=1
  if [ $failed = 1 ]; then exit 1; fi
}
make_corpora() { :; }
prepare_corpus() { prepare_own "$@"; }
make_pretrained() { :; }
