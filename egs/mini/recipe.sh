# shellcheck shell=bash
# Synthetic corpora and small pretrained models, all made here on a CPU; conf/site.sh is ignored.
export iemocap=data/corpora/iemocap
export musan=data/corpora/musan
export encoder="" bert=""
export folds="Ses01F Ses02M"
export corpora="iemocap musan"

doctor() { "$ROOT"/utils/doctor.sh "$@"; }
make_corpora() { "$ROOT"/local/make_mini.py data/corpora; }
prepare_corpus() {
  "$ROOT"/local/prepare_iemocap.py --counts conf/counts.tsv "$@" "$iemocap" data/local/corpus
}
make_pretrained() { "$ROOT"/local/make_mini_pretrained.sh --ctc "${ctc:-}" data/corpora/pretrain; }
