#!/bin/sh
# Trains the networks of docs/results.md, one after the other: table.sh CAMVID [OUT] [OPTION ...]
# Those that take a backbone start from the same ImageNet weights (weights/README.md). A network
# whose folder is there already is left out.
set -eu
data=$1 out=${2:-runs/table}
if [ $# -gt 2 ]; then shift 2; else shift $#; fi

train() {
    name=$1
    shift
    [ -e "$out/$name" ] || mxnetseg train --config configs/camvid/table.yaml --data-root "$data" --ctx cpu \
        --model "$name" --out "$out/$name" "$@"
}

on_mobilenet() {
    name=$1
    shift
    train "$name" --set model.backbone=mobilenet_v2_1_0 model.output_stride=16 \
        model.backbone_weights=weights/mobilenet_v2.params 'optim.rates={backbone.*: 0.25}' "$@"
}

on_mobilenet fcn "$@"
on_mobilenet bisenet "$@"
train pidnet_s --set loss.name=boundary_aware "$@"
train sanet_s --set loss.name=boundary_aware "$@"
on_mobilenet mlmsnet_s "$@"
on_mobilenet deeplabv3plus "$@"
train pmsdsen "$@"
on_mobilenet swiftnet "$@"
