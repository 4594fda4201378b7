/* types.h: the GGML block types, told in one way. Every quantised type is a row of sub-blocks of 32 elements,
 *
 *   x[e] = scale[e / 16] * value(q[e]) + min[e / 16]      value(q) = table ? table[q] : q - bias
 *
 * with q an unsigned code of at most 8 bits, and min only where the type has one. Packing and dequantising are written
 * on top of this. All arithmetic is float32 in the order of the format's definition, so dequantised values are exact:
 * the compiler must not contract a * b + c (-ffp-contract=off). */
#ifndef CLIPGO_TYPES_H
#define CLIPGO_TYPES_H

#include "simd.h"

enum {
    TYPE_F32 = 0,
    TYPE_F16 = 1,
    TYPE_Q4_0 = 2,
    TYPE_Q4_1 = 3,
    TYPE_Q5_0 = 6,
    TYPE_Q5_1 = 7,
    TYPE_Q8_0 = 8,
    TYPE_Q2_K = 10,
    TYPE_Q3_K = 11,
    TYPE_Q4_K = 12,
    TYPE_Q5_K = 13,
    TYPE_Q6_K = 14,
    TYPE_IQ4_NL = 20,
    TYPE_IQ4_XS = 23,
    TYPE_BF16 = 30,
    TYPE_TQ2_0 = 35,
    TYPE_MXFP4 = 39
};

enum { SUB = 32 }; /* elements of a sub-block */

typedef struct sub_block {
    uint8_t q[SUB];
    float scale[2];
    float min[2];
} sub_block;

/* Reads sub-block i of the block at p. */
typedef void (*sub_block_reader)(sub_block *s, const uint8_t *p, unsigned i);

typedef struct block_type {
    uint32_t id;
    uint16_t elements, bytes; /* of a block */
    uint8_t bits;             /* of the largest code */
    uint8_t groups;           /* different scales in a sub-block: 1 or 2 */
    uint8_t has_min;
    uint8_t bias;
    const int8_t *table;
    sub_block_reader read;
} block_type;

static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
/* 16 times the values of E2M1: integers, and as large as 8 bits hold */
static const int8_t e2m1_values[16] = {0, 8, 16, 24, 32, 48, 64, 96, 0, -8, -16, -24, -32, -48, -64, -96};

static inline uint16_t load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static inline uint32_t load_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline float load_f16(const uint8_t *p) { return f16_to_f32(load_u16(p)); }

static inline void set_scale(sub_block *s, float scale) { s->scale[0] = s->scale[1] = scale; }

static inline void set_min(sub_block *s, float min) { s->min[0] = s->min[1] = min; }

/* byte j holds element j low, element j + 16 high */
static inline void read_nibbles(uint8_t *q, const uint8_t *p) {
    for (int j = 0; j < 16; j++) {
        q[j] = p[j] & 15;
        q[j + 16] = p[j] >> 4;
    }
}

static inline void add_fifth_bits(uint8_t *q, uint32_t bits) {
    for (int j = 0; j < SUB; j++) q[j] = (uint8_t)(q[j] | (bits >> j & 1) << 4);
}

static void read_q4_0(sub_block *s, const uint8_t *p, unsigned i) {
    (void)i;
    set_scale(s, load_f16(p));
    read_nibbles(s->q, p + 2);
}

static void read_q4_1(sub_block *s, const uint8_t *p, unsigned i) {
    (void)i;
    set_scale(s, load_f16(p));
    set_min(s, load_f16(p + 2));
    read_nibbles(s->q, p + 4);
}

static void read_q5_0(sub_block *s, const uint8_t *p, unsigned i) {
    (void)i;
    set_scale(s, load_f16(p));
    read_nibbles(s->q, p + 6);
    add_fifth_bits(s->q, load_u32(p + 2));
}

static void read_q5_1(sub_block *s, const uint8_t *p, unsigned i) {
    (void)i;
    set_scale(s, load_f16(p));
    set_min(s, load_f16(p + 2));
    read_nibbles(s->q, p + 8);
    add_fifth_bits(s->q, load_u32(p + 4));
}

static void read_q8_0(sub_block *s, const uint8_t *p, unsigned i) {
    (void)i;
    set_scale(s, load_f16(p));
    for (int j = 0; j < SUB; j++) s->q[j] = p[2 + j] ^ 128;
}

/* 2^(e-131); below 2^-126 a subnormal */
static void read_mxfp4(sub_block *s, const uint8_t *p, unsigned i) {
    uint32_t bits = p[0] > 4 ? (uint32_t)(p[0] - 4) << 23 : 0x400000u >> (4 - p[0]);
    float scale;
    (void)i;
    memcpy(&scale, &bits, 4);
    set_scale(s, scale);
    read_nibbles(s->q, p + 1);
}

/* two-bit codes: 32 bytes hold four sub-blocks, the first in their lowest bits */
static inline void read_crumbs(uint8_t *q, const uint8_t *p, unsigned i) {
    for (int j = 0; j < SUB; j++) q[j] = p[32 * (i / 4) + (unsigned)j] >> 2 * (i % 4) & 3;
}

static void read_q2_k(sub_block *s, const uint8_t *p, unsigned i) {
    float d = load_f16(p + 80), dmin = load_f16(p + 82);
    for (unsigned g = 0; g < 2; g++) {
        uint8_t both = p[2 * i + g];
        s->scale[g] = d * (float)(both & 15);
        s->min[g] = -(dmin * (float)(both >> 4));
    }
    read_crumbs(s->q, p + 16, i);
}

static void read_q3_k(sub_block *s, const uint8_t *p, unsigned i) {
    const uint8_t *high = p, *scales = p + 96;
    float d = load_f16(p + 108);
    for (unsigned g = 0; g < 2; g++) {
        unsigned j = 2 * i + g, low = j < 8 ? scales[j] & 15u : scales[j - 8] >> 4;
        int scale = (int)(low | (scales[8 + j % 4] >> 2 * (j / 4) & 3u) << 4) - 32;
        s->scale[g] = d * (float)scale;
    }
    read_crumbs(s->q, p + 32, i);
    for (int j = 0; j < SUB; j++) s->q[j] = (uint8_t)(s->q[j] | (high[j] >> i & 1) << 2);
}

/* The scales and mins of Q4_K and Q5_K: 8 of each, 6 bits, in 12 bytes. */
static inline void read_scale_min(sub_block *s, const uint8_t *p, unsigned i) {
    const uint8_t *sc = p + 4;
    unsigned scale, min;
    if (i < 4) {
        scale = sc[i] & 63u;
        min = sc[i + 4] & 63u;
    } else {
        scale = (sc[i + 4] & 15u) | (unsigned)(sc[i - 4] >> 6) << 4;
        min = (unsigned)(sc[i + 4] >> 4) | (unsigned)(sc[i] >> 6) << 4;
    }
    set_scale(s, load_f16(p) * (float)scale);
    set_min(s, -(load_f16(p + 2) * (float)min));
}

/* 32 bytes hold two sub-blocks, the even one low */
static inline void read_nibbles_k(uint8_t *q, const uint8_t *p, unsigned i) {
    for (int j = 0; j < SUB; j++) q[j] = p[32 * (i / 2) + (unsigned)j] >> 4 * (i % 2) & 15;
}

static void read_q4_k(sub_block *s, const uint8_t *p, unsigned i) {
    read_scale_min(s, p, i);
    read_nibbles_k(s->q, p + 16, i);
}

static void read_q5_k(sub_block *s, const uint8_t *p, unsigned i) {
    read_scale_min(s, p, i);
    read_nibbles_k(s->q, p + 48, i);
    for (int j = 0; j < SUB; j++) s->q[j] = (uint8_t)(s->q[j] | (p[16 + j] >> i & 1) << 4);
}

static void read_q6_k(sub_block *s, const uint8_t *p, unsigned i) {
    const uint8_t *low = p + 64 * (i / 4) + 32 * (i % 2), *high = p + 128;
    float d = load_f16(p + 208);
    for (unsigned g = 0; g < 2; g++) s->scale[g] = d * (float)(int8_t)p[192 + 2 * i + g];
    read_crumbs(s->q, high, i);
    for (int j = 0; j < SUB; j++) s->q[j] = (uint8_t)(s->q[j] << 4 | (low[j] >> 4 * (i % 4 / 2) & 15));
}

static void read_iq4_xs(sub_block *s, const uint8_t *p, unsigned i) {
    unsigned low = p[4 + i / 2] >> 4 * (i % 2) & 15u, high = (unsigned)load_u16(p + 2) >> 2 * i & 3u;
    set_scale(s, load_f16(p) * (float)((int)(low | high << 4) - 32));
    read_nibbles(s->q, p + 8 + 16 * i);
}

static void read_tq2_0(sub_block *s, const uint8_t *p, unsigned i) {
    set_scale(s, load_f16(p + 64));
    read_crumbs(s->q, p, i);
}

static const block_type block_types[] = {
    /* id, elements, bytes, bits, groups, min, bias, table, reader */
    {TYPE_Q4_0, 32, 18, 4, 1, 0, 8, NULL, read_q4_0},
    {TYPE_Q4_1, 32, 20, 4, 1, 1, 0, NULL, read_q4_1},
    {TYPE_Q5_0, 32, 22, 5, 1, 0, 16, NULL, read_q5_0},
    {TYPE_Q5_1, 32, 24, 5, 1, 1, 0, NULL, read_q5_1},
    {TYPE_Q8_0, 32, 34, 8, 1, 0, 128, NULL, read_q8_0},
    {TYPE_Q2_K, 256, 84, 2, 2, 1, 0, NULL, read_q2_k},
    {TYPE_Q3_K, 256, 110, 3, 2, 0, 4, NULL, read_q3_k},
    {TYPE_Q4_K, 256, 144, 4, 1, 1, 0, NULL, read_q4_k},
    {TYPE_Q5_K, 256, 176, 5, 1, 1, 0, NULL, read_q5_k},
    {TYPE_Q6_K, 256, 210, 6, 2, 0, 32, NULL, read_q6_k},
    {TYPE_IQ4_NL, 32, 18, 4, 1, 0, 0, iq4_values, read_q4_0},
    {TYPE_IQ4_XS, 256, 136, 4, 1, 0, 0, iq4_values, read_iq4_xs},
    {TYPE_TQ2_0, 256, 66, 2, 1, 0, 1, NULL, read_tq2_0},
    {TYPE_MXFP4, 32, 17, 4, 1, 0, 0, e2m1_values, read_mxfp4},
};

/* The quantised type with this id, or NULL. */
static inline const block_type *find_block_type(uint32_t id) {
    for (size_t i = 0; i < sizeof block_types / sizeof block_types[0]; i++)
        if (block_types[i].id == id) return &block_types[i];
    return NULL;
}

/* Sub-block i of a row; blocks hold one or eight. */
static inline void read_sub_block(const block_type *t, sub_block *s, const uint8_t *row, size_t i) {
    if (t->elements == SUB) t->read(s, row + i * t->bytes, 0);
    else t->read(s, row + i / 8 * t->bytes, (unsigned)(i % 8));
}

static inline void dequantize_sub_block(const block_type *t, float *dst, const sub_block *s) {
    for (int j = 0; j < SUB; j++) {
        int value = t->table ? t->table[s->q[j]] : s->q[j] - t->bias;
        float x = s->scale[j / 16] * (float)value;
        dst[j] = t->has_min ? x + s->min[j / 16] : x;
    }
}

/* n elements of a row of F32, F16 or BF16. */
static inline void read_floats(float *dst, const uint8_t *p, uint32_t type, size_t n) {
    if (type == TYPE_F32) {
        memcpy(dst, p, n * 4);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h = load_u16(p + 2 * i);
        dst[i] = type == TYPE_F16 ? f16_to_f32(h) : bf16_to_f32(h);
    }
}

static void dequantize_row(float *dst, const uint8_t *row, uint32_t type, size_t cols) {
    const block_type *t = find_block_type(type);
    if (!t) {
        read_floats(dst, row, type, cols);
        return;
    }
    for (size_t i = 0; i < cols / SUB; i++) {
        sub_block s;
        read_sub_block(t, &s, row, i);
        dequantize_sub_block(t, dst + i * SUB, &s);
    }
}

#endif
