# shellcheck shell=bash
# A corpus of your own: --corpus is one CSV file or a Kaldi data dir. README.md leads through it.
export corpora="corpus musan"

prepare_own() {
  "$ROOT"/local/prepare_own.py --set "${overrides?}" --nj "${nj:?}" "$@" "${corpus:?}" \
    data/local/corpus "${confs[@]:?}"
}

# what is wrong with the machine, and then with the corpus, all of it
doctor() {
  local failed=0 options=(--check)
  if [ "${allow_partial:?}" = true ]; then options+=(--allow-partial); fi
  [ -n "${corpus:-}" ] || die "where is the corpus?" "give --corpus PATH, or write it into conf/site.sh"
  "$ROOT"/utils/doctor.sh --musan "${musan:-}" --disk 12 --allow-partial "$allow_partial" \
    --encoder "$(conf_values encoder.model)" --bert "$(conf_values bert.model)" "$@" || failed=1
  prepare_own "${options[@]}" || failed=1
  if [ $failed = 1 ]; then exit 1; fi
}
make_corpora() { :; }
prepare_corpus() { prepare_own "$@"; }
make_pretrained() { :; }
