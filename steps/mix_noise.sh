#!/usr/bin/env bash
# Stage 2: select the utterances, then draw and measure the noise of every utterance of each noisy set.
set -euo pipefail

corpus=data/local/corpus  # DIR: prepared corpus
musan=data/local/musan    # DIR: prepared noise
tests=""                  # FILE: test scenarios; default: conf/tests.tsv of the recipe or project
emotions=ang,hap,neu,sad  # A,B,...: emotion classes to keep
turns=speech              # speech|all: keep only utterances with words, or all
snr=5,35                  # LOW,HIGH: range of signal-to-noise ratios of the training and dev sets, dB
babble_talkers=1,1        # MIN,MAX: number of talkers in background speech
noise_window=0            # SECONDS: cut noise files into windows of this length first; 0: whole files
seed=0                    # N: seed of all draws
nj=2                      # N: number of parallel jobs

help_message="Usage: $0 [options] <data>
Write the data dir <data>/local/selected and, for the noisy scenarios, train_noisy and dev_noisy,
<data>/local/mix/<set>/{mixtures.jsonl.gz,report.txt}: noise file, offset, gain and measured SNR of
each mixture. No audio is written; stage 5 renders it. Run it in the recipe's folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh
. "$ROOT"/utils/lock.sh
. "$ROOT"/cmd.sh

if [ $# -ne 1 ]; then die "expected one data folder" "see $0 --help"; fi
data=$1

python3 -m jointasr.bin.select_turns "$corpus" "$data/local/selected" \
  --emotions "$emotions" --turns "$turns"

lock_output "$data/local/mix"
options=("$data" --musan "$musan" --tests "$tests" --snr "$snr" --seed "$seed"
  --babble-talkers "$babble_talkers" --noise-window "$noise_window" --jobs "$nj")
todo=$(python3 -m jointasr.bin.mix_noise todo "${options[@]}")
if [ -z "$todo" ]; then exit 0; fi
read -ra runner <<<"$cpu_cmd"
"${runner[@]}" "JOB=1:$nj" "$data/local/log/mix_noise.JOB.log" \
  python3 -m jointasr.bin.mix_noise plan "${options[@]}" --sets "$todo" --job JOB
python3 -m jointasr.bin.mix_noise merge "${options[@]}" --sets "$todo"
