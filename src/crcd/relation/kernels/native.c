/* The two sweeps over the negatives of the difference relation. native.py calls them; difference.py has the formulas.

   Of sample i, anchor j and negative k, with logarithms to base 2:

       logit_ijk = ((s_dot_t_ik - s_dot_a_ij) inverse_n_ijk + shift_ijk) scale_ij
       odds_ijk  = 2^(logit_ijk - offset_ij)
       E_ijk     = odds, or odds / (1 + odds) for noise-contrastive estimation (nce)

   Where s_dot_t or shift is masked, it lies so far below 0 that E is exactly 0. */

#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    TILE = 512, /* negatives at once: a sample's row stays in the first cache, the rows of all anchors in the second */
    GROUP = 4,  /* anchors at once, for each load and store of push */
    VECTOR = 64 /* no vector of floats is longer */
};

/* Contiguous arrays. The keys of sample i begin i * key_step behind those of sample 0: A * K, or 0 for shared ones. */
typedef struct {
    const float *s_dot_t;           /* [B, K] */
    const float *shift, *inverse_n; /* [B, A, K] or [A, K] */
    const float *s_dot_a, *scale;   /* [B, A] */
    const float *offset;            /* [B, A] */
    const float *factor;            /* [B, A]; of the second sweep */
    float *sums;                    /* [4, B, A]: sum_k of E, log2(1 + odds) (0 without nce), E logit, E inverse_n */
    float *push;                    /* [B, K]: sum_j factor E inverse_n */
    int64_t nce, batch, anchors, keys, key_step;
} Block;

static inline float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t to_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* 2^x within 2e-7 of its value: 2^whole times the minimax polynomial of 2^part on [-1/2, 1/2] that is 1 at 0.
   0 below 2^-126.5, 2^127 at the most, NaN for NaN. */
static inline float power_of_2(float x) {
    x = x < -127.0f ? -127.0f : x > 127.0f ? 127.0f : x;
    const float whole = rintf(x), part = x - whole;
    const int32_t exponent = (int32_t)whole;
    float p = 0.00132647285f;
    p = p * part + 0.00967151299f;
    p = p * part + 0.05550733580f;
    p = p * part + 0.24022242400f;
    p = p * part + 0.69314700400f;
    p = p * part + 1.0f;
    return p * from_bits((uint32_t)(exponent + 127) << 23);
}

/* log2 x within 2e-7 of its value, for finite x >= 1, NaN for NaN: the exponent plus the minimax polynomial of log2(1 + part) on
   [sqrt(1/2) - 1, sqrt(2) - 1]. */
static inline float log_to_2(float x) {
    const uint32_t root_of_half = 0x3f3504f3, above = to_bits(x) - root_of_half;
    const float part = from_bits((above & 0x7fffff) + root_of_half) - 1.0f;
    float p = 0.1258370578f;
    p = p * part - 0.2072697580f;
    p = p * part + 0.2157156169f;
    p = p * part - 0.2389448136f;
    p = p * part + 0.2879162431f;
    p = p * part - 0.3607036769f;
    p = p * part + 0.4809106290f;
    p = p * part - 0.7213473320f;
    p = p * part + 1.4426950216f;
    return x != x ? x : p * part + (float)(int32_t)(above >> 23);
}

static inline int64_t smaller(int64_t x, int64_t y) { return x < y ? x : y; }

/* Adds the negatives from k on to the sums of a pair. */
static inline void sum_tile(const Block *b, int nce, int64_t i, int64_t j, int64_t k, int64_t width) {
    const int64_t pair = i * b->anchors + j, plane = b->batch * b->anchors, key = i * b->key_step + j * b->keys + k;
    const float *s_dot_t = b->s_dot_t + i * b->keys + k, *shift = b->shift + key, *inverse_n = b->inverse_n + key;
    const float s_dot_a = b->s_dot_a[pair], scale = b->scale[pair], offset = b->offset[pair];
    float sum_e = 0, loss = 0, turn = 0, pull = 0;
    for (int64_t l = 0; l < width; l++) {
        const float logit = ((s_dot_t[l] - s_dot_a) * inverse_n[l] + shift[l]) * scale;
        const float odds = power_of_2(logit - offset);
        const float e = nce ? odds / (1.0f + odds) : odds;
        if (nce) loss += log_to_2(1.0f + odds);
        sum_e += e;
        turn += e * logit;
        pull += e * inverse_n[l];
    }
    b->sums[pair] += sum_e;
    b->sums[plane + pair] += loss;
    b->sums[2 * plane + pair] += turn;
    b->sums[3 * plane + pair] += pull;
}

/* Adds some anchors, from j on, to the push of the negatives from k on. */
static inline void push_tile(const Block *b, int nce, int group, int64_t i, int64_t j, int64_t k, int64_t width) {
    const int64_t pair = i * b->anchors + j, key = i * b->key_step + j * b->keys + k, step = b->keys;
    const float *s_dot_t = b->s_dot_t + i * b->keys + k, *shift = b->shift + key, *inverse_n = b->inverse_n + key;
    float s_dot_a[GROUP], scale[GROUP], offset[GROUP], factor[GROUP];
    for (int g = 0; g < group; g++) {
        s_dot_a[g] = b->s_dot_a[pair + g];
        scale[g] = b->scale[pair + g];
        offset[g] = b->offset[pair + g];
        factor[g] = b->factor[pair + g];
    }
    float *restrict push = b->push + i * b->keys + k;
    for (int64_t l = 0; l < width; l++) {
        float sum = 0;
        for (int g = 0; g < group; g++) {
            const float n = inverse_n[g * step + l];
            const float odds = power_of_2(((s_dot_t[l] - s_dot_a[g]) * n + shift[g * step + l]) * scale[g] - offset[g]);
            sum += (nce ? odds / (1.0f + odds) : odds) * (n * factor[g]);
        }
        push[l] += sum;
    }
}

static inline void sum_tiles(const Block *b, int nce, int64_t first, int64_t last) {
    for (int64_t row = 0; row < 4 * b->batch; row++)
        memset(b->sums + row * b->anchors + first, 0, (size_t)(last - first) * sizeof(float));
    for (int64_t k = 0; k < b->keys; k += TILE)
        for (int64_t i = 0; i < b->batch; i++)
            for (int64_t j = first; j < last; j++) sum_tile(b, nce, i, j, k, smaller(TILE, b->keys - k));
}

static inline void push_tiles(const Block *b, int nce, int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k += TILE)
        for (int64_t i = 0; i < b->batch; i++) {
            const int64_t width = smaller(TILE, last - k);
            int64_t j = 0;
            memset(b->push + i * b->keys + k, 0, (size_t)width * sizeof(float));
            for (; j + GROUP <= b->anchors; j += GROUP) push_tile(b, nce, GROUP, i, j, k, width);
            for (; j < b->anchors; j++) push_tile(b, nce, 1, i, j, k, width);
        }
}

/* The first of one thread's share of total, where shares are multiples of step. */
static inline int64_t edge(int64_t total, int64_t step, int64_t thread, int64_t threads) {
    return smaller(total, (total + step - 1) / step * thread / threads * step);
}

/* Writes sums; anchors are divided between the threads. */
void crcd_sum(const Block *b, int64_t threads) {
#pragma omp parallel for num_threads((int)threads)
    for (int64_t thread = 0; thread < threads; thread++) {
        const int64_t first = edge(b->anchors, 1, thread, threads), last = edge(b->anchors, 1, thread + 1, threads);
        if (b->nce)
            sum_tiles(b, 1, first, last);
        else
            sum_tiles(b, 0, first, last);
    }
}

/* Writes push; negatives are divided between the threads, so that each stands at the same place of a vector. */
void crcd_push(const Block *b, int64_t threads) {
#pragma omp parallel for num_threads((int)threads)
    for (int64_t thread = 0; thread < threads; thread++) {
        const int64_t first = edge(b->keys, VECTOR, thread, threads), last = edge(b->keys, VECTOR, thread + 1, threads);
        if (b->nce)
            push_tiles(b, 1, first, last);
        else
            push_tiles(b, 0, first, last);
    }
}
