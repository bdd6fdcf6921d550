#!/usr/bin/env bash
# Run the tests under the kernels of other processors: OpenBLAS's (OPENBLAS_CORETYPE, of MXNet's and
# NumPy's) and oneDNN's (DNNL_MAX_CPU_ISA; ONEDNN_MAX_CPU_ISA of later versions), as far as this
# processor has their instructions.
#   tests/cpus.sh PYTHON [TESTS ...]
set -uo pipefail
python=$1
shift
flags=" $(grep -m1 '^flags' /proc/cpuinfo) "
has() { for flag in "$@"; do [[ $flags == *" $flag "* ]] || return 1; done; }

settings=()
if [ -n "${OPENBLAS_CORETYPE:-}" ]; then
  # Somebody set it because this processor needs it: oneDNN's sets alone are tried.
  echo "== OPENBLAS_CORETYPE is $OPENBLAS_CORETYPE and stays so; other kernels of OpenBLAS are left out"
  settings+=("DNNL_MAX_CPU_ISA=SSE41")
  has avx2 fma && settings+=("DNNL_MAX_CPU_ISA=AVX2")
else
has avx && settings+=("OPENBLAS_CORETYPE=Sandybridge DNNL_MAX_CPU_ISA=SSE41")
has avx2 fma && settings+=("OPENBLAS_CORETYPE=Haswell DNNL_MAX_CPU_ISA=AVX2"
  "OPENBLAS_CORETYPE=Zen DNNL_MAX_CPU_ISA=AVX2")
has avx512f avx512dq && settings+=("OPENBLAS_CORETYPE=SkylakeX DNNL_MAX_CPU_ISA=AVX512_CORE")
fi

failed=0
for setting in "${settings[@]}"; do
  echo "== $setting"
  # shellcheck disable=SC2086
  env $setting ONEDNN_MAX_CPU_ISA="${setting##*ISA=}" OMP_NUM_THREADS=1 \
    "$python" -m pytest -n 2 --dist worksteal "$@" || failed=1
done
echo "== $(grep -m1 'model name' /proc/cpuinfo): ${#settings[@]} settings were run"
exit $failed
