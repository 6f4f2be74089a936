# shellcheck shell=bash
# The paper: ten folds of IEMOCAP, noise of MUSAN. Say where they are with --iemocap and --musan, or
# once and for all in conf/site.sh. Pretrained models come from the hub, or from the folders that
# --encoder and --bert name.
export paper=true
export corpora="iemocap musan"

# space is asked for archives and a first model: how many are trained is the user's choice
doctor() {
  "$ROOT"/utils/doctor.sh --iemocap "${iemocap:-}" --musan "${musan:-}" --disk 12 \
    --allow-partial "${allow_partial:?}" \
    --encoder "$(conf_values encoder.model)" --bert "$(conf_values bert.model)" "$@"
}
make_corpora() { :; }
prepare_corpus() {
  "$ROOT"/local/prepare_iemocap.py --counts conf/counts.tsv "$@" "${iemocap:?}" data/local/corpus
}
make_pretrained() { :; }
