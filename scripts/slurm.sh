#!/usr/bin/env bash
# A study as a Slurm job that is put back into the queue until it is done:
#
#   sbatch --time=04:00:00 scripts/slurm.sh study.toml out/mine [PATH=VALUE ...]
#
# With --array=1-4 four jobs share the runs of the study.
#
# A minute before its time is over, or when it is preempted, Slurm sends SIGTERM. regjax saves and exits with 75, and the
# job is requeued; the next one goes on from there. Any other exit code ends the job as it is.
#SBATCH --job-name=regjax
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@60
set -u
if (($# < 2)); then
    echo "usage: sbatch $0 STUDY OUT [PATH=VALUE ...]" >&2
    exit 2
fi
study=$1 out=$2
shift 2

# Slurm sends the signal to this shell, which waits for regjax and passes it on once.
child="" asked=""
trap 'asked=1; [[ -z $child ]] || kill -TERM "$child"' TERM
"${REGJAX:-regjax}" run "$study" --out "$out" --log plain --grace 45 "$@" &
child=$!
[[ -z $asked ]] || kill -TERM "$child"
wait "$child"
code=$?
# The signal ends this `wait` before regjax has ended.
if ((code == 143)); then
    wait "$child"
    code=$?
fi
# 143: the signal came before regjax could catch it.
if ((code == 75 || code == 143)) && [[ -n ${SLURM_JOB_ID:-} ]]; then
    exec scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
