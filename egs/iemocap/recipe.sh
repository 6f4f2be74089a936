# shellcheck shell=bash
# The paper: ten folds of IEMOCAP, noise of MUSAN. Give their locations with --iemocap and --musan, or
# in conf/site.sh. Pretrained models are fetched from the hub, or read from the folders --encoder and
# --bert.
export paper=true
export corpora="iemocap musan"

# 12 GB: space for the archives and one model; how many models are trained is the user's choice
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
