#!/usr/bin/env bash
# Stage 2: choose the turns, then draw and measure the noise of every one of them for every noisy set.
set -euo pipefail

corpus=data/local/corpus  # prepared corpus
musan=data/local/musan  # prepared noise
tests=""                # scenarios; default: the recipe's conf/tests.tsv, else the shared one
emotions=ang,hap,neu,sad  # classes to keep
turns=speech            # speech: only turns with words | all
snr=5,35                # range of the noisy training and dev sets, dB
babble_talkers=1,1      # fewest, most voices in background speech
noise_window=0          # seconds to cut noise files into first; 0: whole files
seed=0                  # of every draw
nj=2                    # parallel jobs

help_message="Usage: $0 [options] <data>
Writes <data>/local/selected, a data dir, and for the noisy scenarios, train_noisy and dev_noisy
<data>/local/mix/<set>/{mixtures.jsonl.gz,report.txt}: file, offset, gain and measured SNR of each
mixture. No audio is written; stage 5 renders it.
Options: --corpus DIR  --musan DIR  --tests FILE  --emotions a,b,c  --turns speech|all
         --snr LOW,HIGH  --babble-talkers MIN,MAX  --noise-window SECONDS  --seed N  --nj N"
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/utils/lock.sh
. "$ROOT"/cmd.sh

if [ $# -ne 1 ]; then die "one data folder is expected" "see $0 --help"; fi
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
