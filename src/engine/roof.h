// roof: the machine's own limits at a number of lanes: bytes read and multiply-adds per second.
//
// Owns: the lanes and the memory that the limits are measured with. Refuses: statistics, and when
// to measure: a limit drifts (other users of the machine, heat), so that a caller takes samples in
// turn with the work that it sets against them. Invariant: memory is taken by open alone.
#ifndef CH_ROOF_H
#define CH_ROOF_H

#include "../kernels/kernels.h"
#include "lanes.h"

enum { CH_ROOF_MAX_LANES = 64 };

// Bytes read per second, and multiply-adds per second of three kinds of numbers.
typedef enum ch_limit {
    CH_LIMIT_READ,
    CH_LIMIT_INT8,
    CH_LIMIT_F32,
    CH_LIMIT_BF16,
    CH_LIMIT_COUNT
} ch_limit;

// More memory than the caches hold of any machine that is likely: a working set this large is
// memory's.
#define CH_ROOF_MEMORY ((size_t)256 << 20)

typedef struct ch_roof_lane {
    CH_ALIGNAS(64) double rate; // a second
    bool wrong;                 // a kernel did not do what it says
} ch_roof_lane;

typedef struct ch_roof {
    ch_lanes lanes;
    ch_lane lane[CH_ROOF_MAX_LANES];
    ch_roof_lane done[CH_ROOF_MAX_LANES];
    uint8_t *memory;
    size_t bytes; // of memory
    uint32_t cpu;
    // What is being measured.
    ch_roof_read_fn *read;
    ch_roof_peak_fn *peak;
    size_t part; // bytes that each lane reads
    double until;
} ch_roof;

// Starts `lanes` lanes (1..CH_ROOF_MAX_LANES) and takes memory for working sets of up to `bytes`,
// at least one unit a lane. `cpu`: the CPU bits that may be used. False: no thread, or no memory.
CH_FN bool ch_roof_open(ch_roof *roof, int32_t lanes, size_t bytes, uint32_t cpu);
CH_FN void ch_roof_close(ch_roof *roof);

// Bytes that all lanes together read per second, each over and over from its own part of a working
// set of `bytes` (at most that of open, rounded down to whole units a lane): the limit of caches or
// of memory, as the size may be. Takes about `seconds`, and at least one pass over 8 MiB a lane.
CH_FN double ch_roof_read(ch_roof *roof, size_t bytes, double seconds);

// Multiply-adds that all lanes together make per second. BF16: those of floats, where the CPU has
// no products of bfloat16.
CH_FN double ch_roof_peak(ch_roof *roof, ch_roof_kind kind, double seconds);

// One of the two.
CH_FN double ch_roof_take(ch_roof *roof, ch_limit limit, size_t bytes, double seconds);

// Whether every kernel did what it says, so far.
CH_FN bool ch_roof_sound(const ch_roof *roof);

#endif
