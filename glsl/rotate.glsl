// rotate: an element of a head after rotary embedding.
//
// The cosine of a position is put together from two tables, of its multiple of 64 and of the rest,
// which are exact: no large angle is taken in 32 bits. A table has cosine and sine of each pair.
// Before it: FLOAT(i), float i of the activations; NEOX if pairs are (i, i + pairs) instead of
// (2i, 2i + 1).

vec2 rotate_turn(uint table, uint table64, uint pairs, uint position, uint pair) {
    uint low = table + ((position & 63u) * pairs + pair) * 2u;
    uint high = table64 + ((position >> 6u) * pairs + pair) * 2u;
    vec2 a = vec2(FLOAT(low), FLOAT(low + 1u)), b = vec2(FLOAT(high), FLOAT(high + 1u));
    return vec2(a.x * b.x - a.y * b.y, a.y * b.x + a.x * b.y);
}

// Element e of the head at `at`.
float rotate(uint table, uint table64, uint pairs, uint position, uint at, uint e) {
    if (e >= 2u * pairs) return FLOAT(at + e);
#ifdef NEOX
    uint pair = e < pairs ? e : e - pairs, other = e < pairs ? e + pairs : e - pairs;
    bool first = e < pairs;
#else
    uint pair = e >> 1u, other = e ^ 1u;
    bool first = (e & 1u) == 0u;
#endif
    vec2 t = rotate_turn(table, table64, pairs, position, pair);
    return first ? FLOAT(at + e) * t.x - FLOAT(at + other) * t.y
                 : FLOAT(at + other) * t.y + FLOAT(at + e) * t.x;
}
