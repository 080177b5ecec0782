// builtin: the model that the build puts into the library.
//
// Owns: the bytes of the file that the macro CHORD_BUILTIN_MODEL names, a string literal with a
// path; not defined: there is none. The assembler reads the file: no compiler has to parse
// megabytes of numbers. A file of its own, so that a program linked with the library takes them
// only if it asks for them.
#include "../../include/chord.h"

#ifdef CHORD_BUILTIN_MODEL

#if defined(__ELF__)
#define BUILTIN_BEGIN ".pushsection .rodata.ch_builtin,\"a\",%progbits\n"
#define BUILTIN_HIDE  ".hidden ch_builtin_model\n.hidden ch_builtin_bytes\n"
#define BUILTIN_END                                                                                \
    ".type ch_builtin_model,%object\n.size ch_builtin_model,ch_builtin_bytes-ch_builtin_model\n"   \
    ".type ch_builtin_bytes,%object\n.size ch_builtin_bytes,8\n.popsection\n"
#elif defined(__APPLE__)
#define BUILTIN_BEGIN ".section __TEXT,__const\n"
#define BUILTIN_HIDE  ".private_extern ch_builtin_model\n.private_extern ch_builtin_bytes\n"
#define BUILTIN_END   ".text\n"
#else
#error "CHORD_BUILTIN_MODEL: how to put a file into an object of this format is not known"
#endif

// .p2align 6: 64 bytes. The size is padded to 8 behind the file: what a 64-bit load wants.
__asm__(BUILTIN_BEGIN ".globl ch_builtin_model\n.globl ch_builtin_bytes\n" BUILTIN_HIDE
                      ".p2align 6\nch_builtin_model:\n.incbin \"" CHORD_BUILTIN_MODEL
                      "\"\nch_builtin_end:\n.p2align 3\nch_builtin_bytes:\n"
                      ".quad ch_builtin_end-ch_builtin_model\n" BUILTIN_END);
#undef BUILTIN_BEGIN
#undef BUILTIN_HIDE
#undef BUILTIN_END

// Named by the assembler's name, which some formats would put an underscore before.
extern const unsigned char ch_builtin_model[] __asm__("ch_builtin_model");
extern const uint64_t ch_builtin_bytes __asm__("ch_builtin_bytes");

const void *chord_builtin_model(size_t *bytes) {
    if (bytes) *bytes = (size_t)ch_builtin_bytes;
    return ch_builtin_model;
}

#else

const void *chord_builtin_model(size_t *bytes) {
    if (bytes) *bytes = 0;
    return NULL;
}

#endif
