#!/bin/bash
# The golden tests compute with every value of a set's configuration or refuse it: a set with another value is no
# longer matched, and one with a value that no test has heard of is named.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
tests=$bin/../tests

# refuses PROGRAM FILE FROM TO PATTERN: the set in which FROM became TO, of the same length, fails with the pattern.
refuses() {
    local program=$1 file=$2 from=$3 to=$4 pattern=$5
    [ ${#from} = ${#to} ] || fail "$from and $to are not of one length"
    mkdir -p sets && cp "$source_folder/tests/golden/$file" sets/
    VOXLOOP_GOLDEN=$PWD/sets "$tests/$program" >output 2>&1 || { cat output >&2; fail "$program fails on the set as it is"; }
    FROM=$from TO=$to perl -0777 -pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/g' "sets/$file"
    cmp -s "sets/$file" "$source_folder/tests/golden/$file" && fail "$file has no $from"
    VOXLOOP_GOLDEN=$PWD/sets "$tests/$program" >output 2>&1 && fail "$program does not look at $from"
    grep -qE -- "$pattern" output || { cat output >&2; fail "$program on $to: no $pattern"; }
}
refuses golden_losses losses.safetensors '\"base_temperature\": 0.07' '\"base_temperature\": 0.08' 'out.aamsupcon0.supcon_part'
refuses golden_losses losses.safetensors '\"samples\": 8' '\"sample5\": 8' 'does not know what to do with sample5 of supcon0'
refuses golden_losses losses.safetensors '\"easy_margin\": false' '\"easy_margin\": true ' 'out.aam0'
refuses golden_losses losses.safetensors '\"x_clean_gradient\": \"none\"' '\"x_clean_gradient\": \"some\"' 'x_clean_gradient is some'
refuses golden_optim optim.safetensors '\"amsgrad\": false' '\"amsgrad\": true ' 'amsgrad is 1, and ours knows 0 only'
refuses golden_optim optim.safetensors '\"scale_ratio\": 1.0' '\"scale_ratio\": 1.5' 'scale_ratio is 1.5'
refuses golden_clustering clustering.safetensors '\"spherical\": true' '\"spherical\": 0   ' 'kmeans_spherical'
refuses golden_fbank fbank.safetensors '\"snip_edges\": true' '\"snip_edges\": 0   ' 'snip_edges is 0'
refuses golden_fbank_encoders resnet_bottleneck.safetensors '\"bn_eps\": 1e-05' '\"bn_eps\": 1e-06' 'bn_eps is 1e-06'
refuses golden_mhfa wavlm_mhfa_head.safetensors '\"batch\"' '\"bunch\"' 'does not know what to do with bunch'
refuses golden_metrics metrics.safetensors '\"c_miss\": 1' '\"c_miss\": 2' 'c_miss is 2'
refuses golden_wavlm wavlm.safetensors '\"gru_rel_pos\": true' '\"gru_rel_pos\": 0   ' 'gru_rel_pos is 0'
echo "golden_runner: fine"
