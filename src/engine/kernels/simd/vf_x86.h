/* SPDX-License-Identifier: Apache-2.0
 *
 * What vf_avx2.h and vf_avx512.h share once vectors are folded to four lanes. */
#ifndef ENGINE_KERNELS_SIMD_VF_X86_H
#define ENGINE_KERNELS_SIMD_VF_X86_H

static ATTR_INLINE float vf_sum(vf v)
{
    __m128 x = vf_fold4(v);
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

static ATTR_INLINE void vf_sum4(vf a, vf b, vf c, vf d, float ret[4])
{
    __m128 x0 = vf_fold4(a), x1 = vf_fold4(b), x2 = vf_fold4(c), x3 = vf_fold4(d);
    _MM_TRANSPOSE4_PS(x0, x1, x2, x3);
    _mm_storeu_ps(ret, _mm_add_ps(_mm_add_ps(x0, x2), _mm_add_ps(x1, x3)));
}

#endif
