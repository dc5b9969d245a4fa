#!/bin/bash
# sbatch slurm.sh: 40 workers, each with its own part of the targets. /shared is a volume that all nodes have, and that
# knows locks.
#SBATCH --job-name=batchpol
#SBATCH --array=1-40
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=batchpol-%A-%a.log
#SBATCH --signal=TERM@60
set -u

batchpol apply /shared/in.csv --shard auto --journal /shared/run1 --role-arn 'arn:aws:iam::{account}:role/batchpol' \
    --region us-east-1 --region eu-west-1 --yes
code=$?

# 0, 1 and 2 are over. All else is to be tried again, ten times at most.
case $code in
    0 | 1 | 2) exit "$code" ;;
esac
if [ "${SLURM_RESTART_COUNT:-0}" -lt 10 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
