#!/usr/bin/env bash
# What is said and how it is felt, from one model, in noise: the whole recipe, stage by stage.
set -euo pipefail

stage=0                  # first stage to run
stop_stage=10            # last stage to run
recipe=egs/mini          # its recipe.sh and conf/ refine the project's; data/ and exp/ are in there
conf=conf/asr.yaml,conf/ser.yaml,conf/joint.yaml  # systems to run
set=                     # overrides of conf keys, e.g. "alpha=0.3 train.epochs=10"
conditions="clean noisy" # training sets
folds=all                # test speakers or sessions, blank between
seed=0                   # of training, several with blanks; k > 0 writes to exp/<name>-s<k>_*
iemocap=                 # folder of the corpus; never written to
corpus=                  # CSV file or Kaldi data dir of your own (egs/own); never written to
musan=                   # folder of the noises; never written to
encoder=                 # hub id or folder, instead of the conf's encoder.model
bert=                    # hub id or folder, instead of the conf's bert.model
ctc=                     # k2 | torch, instead of the conf's engine
feats=wav                # wav | conv: what stage 8 reads; stage 6 archives conv features
method=default           # default | one_best | greedy | nbest | hlg | hlg_rescore | beam (stage 8)
paper=false              # stage 10 shows the paper's Table 1 beside ours
allow_partial=false      # go on with an incomplete release of a corpus; what is missing is reported
accept_code=false        # keep results that other code made
force=false              # make again what was made with other settings
skip_bad=false           # stage 8 counts audio it cannot read as an error of each system
ngpu=1                   # cards for each training
nodes=1                  # machines for each training, on a cluster
dry_run=false            # stages 7 and 8 say what jobs they would run; nothing else runs
self_test=true           # stage 0 tries the engines on this machine's device
nj=$(env -u OMP_NUM_THREADS nproc)  # parallel jobs of the data stages

help_message="Usage: ./run.sh [--recipe DIR] [--stage N] [--stop-stage M] [options]
Stages:  0 doctor: is everything there?        6 pretrained models, made or fetched
         1 corpora to manifests, data dirs     7 train: systems x conditions x folds
         2 noise: every mixture planned        8 decode the test scenarios
         3 folds: who trains, who tests        9 score, pool over folds
         4 units, labels, language models     10 report: Table 1
         5 archives, data dirs of the folds
Recipes: egs/mini (default; makes its own corpora), egs/iemocap (the paper), egs/own (your corpus)
Options, with their defaults:
$(sed -n '/^stage=/,/^nj=/s/^/  --/p' "${BASH_SOURCE[0]}")"

cd "$(dirname "${BASH_SOURCE[0]}")"
. utils/log.sh
for ((i = 1; i <= $#; i++)); do  # the recipe's own defaults come before the user's options
  case ${!i} in
    --recipe) next=$((i + 1)) && recipe=${!next:-} ;;
    --recipe=*) recipe=${!i#*=} ;;
  esac
done
if [ ! -f "$recipe/recipe.sh" ]; then
  die "--recipe $recipe: there is no recipe.sh in it" "choose one of: $(echo egs/*)"
fi
# shellcheck source=conf/site.sh.example
if [ -f conf/site.sh ]; then . conf/site.sh; fi
# It sets defaults of options, names the corpora it needs (options), and says what doctor,
# make_corpora, prepare_corpus and make_pretrained are.
# shellcheck source=egs/mini/recipe.sh
. "$recipe/recipe.sh"
. utils/parse_options.sh
if [ $# -ne 0 ]; then die "unexpected argument $1" "see ./run.sh --help"; fi
for i in "$stage" "$stop_stage"; do
  [[ $i =~ ^([0-9]|10)$ ]] || die "stage $i: stages are 0 to 10" "see ./run.sh --help"
done
if [ "$stage" -gt "$stop_stage" ]; then
  die "--stage $stage is after --stop-stage $stop_stage" "swap them"
fi
if [ "$dry_run" = true ]; then stage=7 && stop_stage=8; fi
for i in iemocap corpus musan encoder bert; do  # what the user's folder has, then the recipe's
  if [ -n "${!i}" ] && [ -e "$OLDPWD/${!i}" ]; then printf -v "$i" %s "$OLDPWD/${!i}"; fi
done

export iemocap corpus  # used in the recipe's functions

. path.sh
. cmd.sh
export JOINTASR_ON_CHANGE=stop  # read by jointasr/utils/done.py
if [ "$accept_code" = true ]; then JOINTASR_ON_CHANGE=accept-code; fi
if [ "$force" = true ]; then JOINTASR_ON_CHANGE=force; fi
partial=()
if [ "$allow_partial" = true ]; then partial=(--allow-partial); fi
overrides=$set${ctc:+ ctc=$ctc}  # quoted: folders may hold blanks
overrides+=${encoder:+ encoder.model=\"$encoder\"}${bert:+ bert.model=\"$bert\"}
COMMAND="./run.sh --recipe $recipe --conf $conf --conditions ${conditions@Q} --folds ${folds@Q}"
COMMAND+=" --seed ${seed@Q}${overrides:+ --set ${overrides@Q}}"
COMMAND+=" --method $method --feats $feats"  # what each number is said to come from
if [ "$folds" = all ]; then folds=; fi  # an empty list is every one there is
which=(--conditions "$conditions" --folds "$folds" --seed "$seed" --set "$overrides")
IFS=, read -ra confs <<<"$conf"
for i in "${!confs[@]}"; do  # a conf of the user's own, named from where they stand
  if [ ! -f "${confs[i]}" ] && [ -f "$OLDPWD/${confs[i]}" ]; then confs[i]=$OLDPWD/${confs[i]}; fi
done
decoded=$method  # ending of the decode folders' names
if [ "$feats" = conv ]; then decoded=${method}_conv && decoded=${decoded#default_}; fi
cd "$recipe"

conf_values() { python3 -m jointasr.bin.conf "${confs[@]}" --set "$overrides" --each "$@"; }
check_run() {  # check_run STAGE: what was asked for, before work begins
  python3 -m jointasr.bin.check_run --stage "$1" "${which[@]}" --method "$method" --feats "$feats" \
    --nj "$nj" "${confs[@]}" || exit 1
}
check_run "$stage"
datas=$(conf_values data data.letters data.emotions data.turns data.snr data.babble_talkers \
  data.noise_window data.seed data.scheme data.dev data.dev_fraction units.type units.size)
each_data() {  # calls a function once for each data folder that the confs need
  while IFS=$'\t' read -ru 3 data letters emotions turns snr talkers window data_seed scheme dev \
    dev_fraction units units_size; do "$1"; done 3<<<"$datas"
}

if [ $stage -le 0 ] && [ $stop_stage -ge 0 ]; then
  begin_stage 0 "doctor"
  doctor --ctc "$(conf_values ctc | sort | head -n 1)" --self-test "$self_test"
fi

if [ $stage -le 1 ] && [ $stop_stage -ge 1 ]; then
  begin_stage 1 "corpora to manifests and data dirs"
  for i in $corpora; do
    [ -n "${!i}" ] || die "where is the corpus?" "give --$i PATH, or write it into conf/site.sh"
  done
  make_corpora
  "$ROOT"/local/prepare_musan.py "${partial[@]}" "$musan" data/local/musan  # looked at in seconds
  prepare_corpus "${partial[@]}"
fi

if [ $stage -le 2 ] && [ $stop_stage -ge 2 ]; then
  begin_stage 2 "noise: every mixture planned"
  check_run 2  # now that it is known who speaks
  plan_noise() {
    "$ROOT"/steps/mix_noise.sh --nj "$nj" --emotions "$emotions" --turns "$turns" --snr "$snr" \
      --babble-talkers "$talkers" --noise-window "$window" --seed "$data_seed" "$data"
  }
  each_data plan_noise
fi

if [ $stage -le 3 ] && [ $stop_stage -ge 3 ]; then
  begin_stage 3 "folds: who trains, who tests"
  split() {
    "$ROOT"/steps/make_folds.sh --scheme "$scheme" --dev "$dev" --dev-fraction "$dev_fraction" \
      --seed "$data_seed" --folds "$folds" "$data"
  }
  each_data split
fi

if [ $stage -le 4 ] && [ $stop_stage -ge 4 ]; then
  begin_stage 4 "units, emotion labels, language models"
  make_lang() {
    "$ROOT"/steps/prepare_lang.sh --scheme "$scheme" --folds "$folds" --emotions "$emotions" \
      --letters "$letters" --units-type "$units" --units-size "$units_size" "$data"
    "$ROOT"/steps/prepare_lm.sh --scheme "$scheme" --folds "$folds" --letters "$letters" "$data"
  }
  each_data make_lang
fi

if [ $stage -le 5 ] && [ $stop_stage -ge 5 ]; then
  begin_stage 5 "archives and data dirs of the folds"
  archive() {
    "$ROOT"/steps/make_archives.sh --nj "$nj" --scheme "$scheme" --folds "$folds" "$data"
  }
  each_data archive
fi

if [ $stage -le 6 ] && [ $stop_stage -ge 6 ]; then
  begin_stage 6 "pretrained models"
  make_pretrained
  python3 -m jointasr.bin.check_models "${confs[@]}" --set "$overrides"
  archive_conv() {
    local model
    for model in "${models[@]}"; do
      "$ROOT"/steps/make_archives.sh --nj "$nj" --feats conv --model "$model" "$data"
    done
  }
  encoders=$(conf_values encoder.model)
  mapfile -t models <<<"$encoders"
  if [ "$feats" = conv ]; then each_data archive_conv; fi
fi

if [ $stage -le 7 ] && [ $stop_stage -ge 7 ]; then
  begin_stage 7 "train"
  "$ROOT"/steps/train.sh "${which[@]}" --ngpu "$ngpu" --nodes "$nodes" --dry-run "$dry_run" \
    "${confs[@]}"
fi

if [ $stage -le 8 ] && [ $stop_stage -ge 8 ]; then
  begin_stage 8 "decode"
  "$ROOT"/steps/decode.sh "${which[@]}" --method "$method" --feats "$feats" \
    --skip-bad "$skip_bad" --dry-run "$dry_run" "${confs[@]}"
fi

if [ $stage -le 9 ] && [ $stop_stage -ge 9 ]; then
  begin_stage 9 "score"
  systems=$(python3 -m jointasr.bin.jobs systems "${which[@]}" "${confs[@]}")
  mapfile -t systems <<<"$systems"
  "$ROOT"/steps/score.sh --folds "$folds" --method "$decoded" --command "$COMMAND" "${systems[@]}"
fi

if [ $stage -le 10 ] && [ $stop_stage -ge 10 ]; then
  begin_stage 10 "report"
  "$ROOT"/steps/report.sh --method "$decoded" --paper "$paper"
fi
