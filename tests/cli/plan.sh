#!/bin/bash
# --plan of every stage that has one: what a run would take, though nothing that it names is there, and nothing is written.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
tiny=encoder_layers=2,encoder_embed_dim=16,encoder_ffn_embed_dim=32,encoder_attention_heads=2,head_nb=2,compression_dim=8,outputs_dim=8

for stage in pretrain finetune warmup ivector cluster; do
    case $stage in
    pretrain | finetune) own="--architecture channels=16,embed_dim=8 --steps 1000 --batch 8" && [ $stage = pretrain ] || own="$own --labels -" ;;
    warmup) own="--architecture frontend=fbank,$tiny --steps 1000 --batch 8" ;;
    ivector) own="--gaussians 8 --ivector-dim 4 --ceps 5" ;;
    cluster) own="--report -" ;;
    esac
    audio=--audio
    [ $stage != cluster ] || audio=--embeddings
    expect 0 "$stage: plan: " "$bin/voxloop-$stage" $audio - --out - $own --plan 5000
    grep -q "$stage: done a plan for 5000 utterances" output || { cat output >&2; fail "$stage: no plan for 5000 utterances"; }
    grep -qE 'plan: (memory|agglomeration)' output || { cat output >&2; fail "$stage: no memory in the plan"; }
    [ $stage = cluster ] || grep -qE 'plan: .*(hours|days)' output || { cat output >&2; fail "$stage: no time in the plan"; }
done
# More utterances take longer, in proportion.
hours() { "$bin/voxloop-ivector" --audio - --out - --gaussians 8 --ivector-dim 4 --ceps 5 --plan "$1" 2>&1 | sed -n 's/.*plan: the total.*: \([0-9.e-]*\) hours.*/\1/p'; }
awk -v few="$(hours 1000)" -v many="$(hours 50000)" 'BEGIN {exit !(many > 10 * few)}' || fail "50 times the utterances take $(hours 50000) hours, not $(hours 1000)"
[ "$(ls)" = output ] || fail "a plan wrote $(ls)"
echo "plan: fine"
