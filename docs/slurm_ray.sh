#!/bin/bash
#SBATCH --job-name=tavlo-ray --array=0-7 --cpus-per-task=16 --mem=32G --time=04:00:00 --requeue
#
# Runs one tavlo command on the machines of a SLURM job array, in a folder that all of them share:
#
#   sbatch docs/slurm_ray.sh tavlo data shard --source tavlo_pl.data.index.Index --source.path data/vggsound.parquet \
#     --out data/vggsound_shards
#
# The first task of the array starts the head of a Ray cluster and runs the command; the others join it when SLURM starts
# them, and may end at any time. If the first task ends early, submit it again: the command resumes.
set -euo pipefail
umask 077 # the note holds the key of the cluster
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token
note=${TAVLO_RAY_NOTE:-.ray-$SLURM_ARRAY_JOB_ID}
resources=(--num-cpus "${SLURM_CPUS_PER_TASK:-1}" --num-gpus "${SLURM_GPUS_ON_NODE:-0}")

if [ "$SLURM_ARRAY_TASK_ID" = "$SLURM_ARRAY_TASK_MIN" ]; then
  RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
  export RAY_AUTH_TOKEN
  host=$(hostname -I | cut -d ' ' -f 1)
  port=$((20000 + SLURM_ARRAY_JOB_ID % 10000))
  ray start --head --node-ip-address "$host" --port "$port" "${resources[@]}" --include-dashboard false --block &
  head=$!
  trap 'rm -f "$note"; kill "$head"' EXIT
  until ray health-check --address "$host:$port" > /dev/null 2>&1; do
    kill -0 "$head" # ends the job if Ray could not start
    sleep 2
  done
  echo "$host:$port $RAY_AUTH_TOKEN" > "$note.part"
  mv "$note.part" "$note"
  "$@" --engine ray --ray.address "$host:$port"
else
  for _ in $(seq 360); do # the first task may wait in the queue for half an hour
    [ -s "$note" ] && break
    sleep 5
  done
  read -r address RAY_AUTH_TOKEN < "$note"
  export RAY_AUTH_TOKEN
  exec ray start --address "$address" "${resources[@]}" --block
fi
