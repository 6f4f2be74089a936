#!/usr/bin/env bash
# Joint speech and emotion recognition in noise: the whole recipe, stage by stage.
set -euo pipefail

stage=0                  # N: first stage to run
stop_stage=10            # N: last stage to run
recipe=egs/mini          # DIR: recipe folder with recipe.sh and conf/; data/ and exp/ are written there
conf=conf/asr.yaml,conf/ser.yaml,conf/joint.yaml  # A.yaml,B.yaml,...: systems to run
set=                     # "KEY=VALUE ...": overrides of conf keys, e.g. "alpha=0.3 train.epochs=10"
conditions="clean noisy" # "NAME ...": training conditions
folds=all                # "ID ...": test speakers or sessions, or all
seed=0                   # "K ...": training seeds; K > 0 writes to exp/<name>-s<K>_*
iemocap=                 # DIR: IEMOCAP; the corpus is only read
corpus=                  # PATH: CSV file or Kaldi data dir of a custom corpus (egs/own); only read
musan=                   # DIR: MUSAN; only read
encoder=                 # MODEL: hub id or folder, instead of encoder.model in the conf
bert=                    # MODEL: hub id or folder, instead of bert.model in the conf
ctc=                     # k2|torch: CTC engine, instead of ctc in the conf
feats=wav                # wav|conv: input of stage 8; stage 6 archives conv features
method=default           # NAME: decoding: default, one_best, greedy, nbest, hlg, hlg_rescore or beam
paper=false              # stage 10 shows the paper's Table 1 next to these results
allow_partial=false      # accept an incomplete release of a corpus; what is missing is reported
accept_code=false        # keep results of earlier versions of the code
force=false              # redo steps whose settings have changed
skip_bad=false           # stage 8 counts unreadable audio as errors of each system
ngpu=1                   # N: GPUs per training and machine
nodes=1                  # N: machines per training, on a cluster
dry_run=false            # only print the jobs of stages 7 and 8
self_test=true           # stage 0 tests the CTC engines on this machine's device
nj=$(env -u OMP_NUM_THREADS nproc)  # N: parallel jobs of the data stages

help_message="Usage: ./run.sh [--recipe DIR] [--stage N] [--stop-stage M] [options]
Stages:  0 doctor: check the machine, corpora, models    6 make or fetch pretrained models
         1 corpora to manifests and data dirs            7 train systems x conditions x folds
         2 plan the noise of every mixture               8 decode the test scenarios
         3 folds: training, dev and test speakers        9 score, pool over folds
         4 units, labels, language models               10 report: Table 1
         5 archives, data dirs of the folds
Recipes: egs/mini (default; makes its own corpora), egs/iemocap (the paper), egs/own (your corpus)"

cd "$(dirname "$(readlink -f "$0")")"
. utils/log.sh
for ((i = 1; i <= $#; i++)); do  # the recipe's defaults come before the user's options
  case ${!i} in
    --recipe) next=$((i + 1)) && recipe=${!next:-} ;;
    --recipe=*) recipe=${!i#*=} ;;
  esac
done
[ -f "$recipe/recipe.sh" ] || die "--recipe $recipe: there is no recipe.sh" "choose one of: $(echo egs/*)"
# shellcheck source=conf/site.sh.example
if [ -f conf/site.sh ]; then . conf/site.sh; fi
# A recipe sets defaults of options, names the corpora it needs (options), and defines the functions
# doctor, make_corpora, prepare_corpus and make_pretrained.
# shellcheck source=egs/mini/recipe.sh
. "$recipe/recipe.sh"
. utils/parse_options.sh
if [ $# -ne 0 ]; then die "unexpected argument $1" "see ./run.sh --help"; fi
for i in "$stage" "$stop_stage"; do
  [[ $i =~ ^([0-9]|10)$ ]] || die "stage $i: stages are 0 to 10" "see ./run.sh --help"
done
[ "$stage" -le "$stop_stage" ] || die "--stage $stage is after --stop-stage $stop_stage" "swap them"
if [ "$dry_run" = true ]; then stage=7 && stop_stage=8; fi
for i in iemocap corpus musan encoder bert; do  # relative to the user's folder, else to the recipe
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
overrides=$set${ctc:+ ctc=$ctc}  # quoted: names of folders may contain spaces
overrides+=${encoder:+ encoder.model=\"$encoder\"}${bert:+ bert.model=\"$bert\"}
COMMAND="./run.sh --recipe $recipe --conf $conf --conditions ${conditions@Q} --folds ${folds@Q}"
COMMAND+=" --seed ${seed@Q}${overrides:+ --set ${overrides@Q}}"
COMMAND+=" --method $method --feats $feats"  # recorded in the results
if [ "$folds" = all ]; then folds=; fi  # an empty list means all folds
which=(--conditions "$conditions" --folds "$folds" --seed "$seed" --set "$overrides")
IFS=, read -ra confs <<<"$conf"
for i in "${!confs[@]}"; do  # a custom conf, relative to the user's folder
  if [ ! -f "${confs[i]}" ] && [ -f "$OLDPWD/${confs[i]}" ]; then confs[i]=$OLDPWD/${confs[i]}; fi
done
decoded=$method  # suffix of the decode folders
if [ "$feats" = conv ]; then decoded=${method}_conv && decoded=${decoded#default_}; fi
cd "$recipe"

conf_values() { python3 -m jointasr.bin.conf "${confs[@]}" --set "$overrides" --each "$@"; }
check_run() {  # check_run STAGE: check the options before work begins
  python3 -m jointasr.bin.check_run --stage "$1" "${which[@]}" --method "$method" --feats "$feats" \
    --nj "$nj" "${confs[@]}" || exit 1
}
check_run "$stage"
data_settings=$(python3 -m jointasr.bin.conf "${confs[@]}" --set "$overrides" --data-settings)
declare -A setting  # values of conf keys, by key, and the data folder as setting[data]
for_each_data_folder() {  # for_each_data_folder FUNCTION: call it with the settings of each folder
  local key value
  while IFS=$'\t' read -ru 3 key value; do
    if [ -n "$key" ]; then setting[$key]=$value; else "$1"; fi  # an empty line ends a folder
  done 3<<<"$data_settings"$'\n'
}

if [ $stage -le 0 ] && [ $stop_stage -ge 0 ]; then
  begin_stage 0 "doctor"
  doctor --ctc "$(conf_values ctc | sort | head -n 1)" --self-test "$self_test"
fi

if [ $stage -le 1 ] && [ $stop_stage -ge 1 ]; then
  begin_stage 1 "corpora to manifests and data dirs"
  for i in $corpora; do
    [ -n "${!i}" ] || die "--$i is missing" "add --$i PATH, or set it in conf/site.sh"
  done
  make_corpora
  "$ROOT"/local/prepare_musan.py "${partial[@]}" "$musan" data/local/musan  # takes seconds
  prepare_corpus "${partial[@]}"
fi

if [ $stage -le 2 ] && [ $stop_stage -ge 2 ]; then
  begin_stage 2 "noise: plan every mixture"
  check_run 2  # the speakers are known now
  mix_noise() {
    "$ROOT"/steps/mix_noise.sh --nj "$nj" --emotions "${setting[data.emotions]}" \
      --turns "${setting[data.turns]}" --snr "${setting[data.snr]}" \
      --babble-talkers "${setting[data.babble_talkers]}" --seed "${setting[data.seed]}" \
      --noise-window "${setting[data.noise_window]}" "${setting[data]}"
  }
  for_each_data_folder mix_noise
fi

if [ $stage -le 3 ] && [ $stop_stage -ge 3 ]; then
  begin_stage 3 "folds: training, dev and test speakers"
  make_folds() {
    "$ROOT"/steps/make_folds.sh --scheme "${setting[data.scheme]}" --dev "${setting[data.dev]}" \
      --dev-fraction "${setting[data.dev_fraction]}" --seed "${setting[data.seed]}" \
      --folds "$folds" "${setting[data]}"
  }
  for_each_data_folder make_folds
fi

if [ $stage -le 4 ] && [ $stop_stage -ge 4 ]; then
  begin_stage 4 "units, emotion labels, language models"
  prepare_lang() {
    local options=(--scheme "${setting[data.scheme]}" --letters "${setting[data.letters]}"
      --folds "$folds")
    "$ROOT"/steps/prepare_lang.sh "${options[@]}" --emotions "${setting[data.emotions]}" \
      --units-type "${setting[units.type]}" --units-size "${setting[units.size]}" "${setting[data]}"
    "$ROOT"/steps/prepare_lm.sh "${options[@]}" "${setting[data]}"
  }
  for_each_data_folder prepare_lang
fi

if [ $stage -le 5 ] && [ $stop_stage -ge 5 ]; then
  begin_stage 5 "archives and data dirs of the folds"
  make_archives() {
    "$ROOT"/steps/make_archives.sh --nj "$nj" --scheme "${setting[data.scheme]}" --folds "$folds" \
      "${setting[data]}"
  }
  for_each_data_folder make_archives
fi

if [ $stage -le 6 ] && [ $stop_stage -ge 6 ]; then
  begin_stage 6 "pretrained models"
  make_pretrained
  python3 -m jointasr.bin.check_models "${confs[@]}" --set "$overrides"
  encoders=$(conf_values encoder.model)
  make_conv_archives() {
    local encoder
    while read -ru 4 encoder; do
      "$ROOT"/steps/make_archives.sh --nj "$nj" --feats conv --model "$encoder" "${setting[data]}"
    done 4<<<"$encoders"
  }
  if [ "$feats" = conv ]; then for_each_data_folder make_conv_archives; fi
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
