#!/bin/sh
# Holds the house in order: what each folder includes, the head of each file, widths and lengths,
# what the library calls and exports, names, format, the paths that the documents mention.
#
#   sh tests/tidy.sh          CHORD_LIB: the library to look into (build/libchord.a)
set -eu
cd "$(dirname "$0")/.."
library=${CHORD_LIB:-build/libchord.a}
failed=0 skipped=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# say NAME: fails if standard input has lines, and shows them.
say() {
    cat > "$work/lines"
    if [ -s "$work/lines" ]; then
        failed=$((failed + 1))
        echo "FAIL $1"
        sed 's/^/     /' "$work/lines" | head -n 40
    else
        echo "ok   $1"
    fi
}

skip() {
    skipped=$((skipped + 1))
    echo "skip $1: $2"
}

code=$(find include src tests bench -name '*.[ch]' | sort)

# ---- what a folder may include

for file in $(find src -name '*.[ch]' -o -name '*.def' | sort); do
    room=${file#src/}
    room=${room%%/*}
    case $room in
        arena) may="arena include" ;;
        kernels) may="kernels arena" ;;
        model) may="model kernels arena include" ;;
        engine) may="engine model kernels arena include" ;;
        cli)
            may="cli include"
            # What measures the machine may use what it is made of.
            case ${file##*/} in bench* | gate* | measure*) may="cli engine kernels arena include" ;; esac
            ;;
        *) may=nothing ;;
    esac
    sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\(.*\)".*/\1/p' "$file" | while read -r name; do
        case $name in
            ../../include/*) to=include ;;
            ../*/*) to=${name#../} to=${to%%/*} ;;
            */*) to=elsewhere ;;
            *) to=$room ;;
        esac
        case " $may " in
            *" $to "*) ;;
            *) echo "$file includes $name" ;;
        esac
        [ -f "$(dirname "$file")/$name" ] || echo "$file includes $name, which is not there"
    done
done > "$work/includes"
say "a folder includes only what its row allows" < "$work/includes"

for file in $(find src -name '*.[ch]' | sort); do
    case $file in src/arena/os.*) continue ;; src/cli/*) continue ;; esac
    sed -n 's/^[ \t]*#[ \t]*include[ \t]*<\(.*\)>.*/\1/p' "$file" | while read -r name; do
        case $name in
            stdbool.h | stddef.h | stdint.h | string.h | math.h | float.h | limits.h | stdarg.h) ;;
            stdio.h) ;; # snprintf; what prints is caught below
            immintrin.h | arm_neon.h | cpuid.h | cblas.h | sanitizer/asan_interface.h) ;;
            EGL/egl.h | EGL/eglext.h | GLES3/gl31.h)
                [ "$file" = src/engine/gles.h ] || echo "$file includes <$name>"
                ;;
            sys/auxv.h) [ "$file" = src/kernels/kernels.c ] || echo "$file includes <$name>" ;;
            *) echo "$file includes <$name>" ;;
        esac
    done
done > "$work/system"
say "the operating system is met in src/arena/os.c alone" < "$work/system"

# ---- files

for file in $code; do
    head -n 1 "$file" | grep -Eq '^// [a-z0-9_]+(, [a-z ]+)?: .' || echo "$file: no head comment '// name: ...'"
done > "$work/heads"
say "every file says what it is" < "$work/heads"

for file in $code; do
    awk -v file="$file" 'length($0) > 100 { print file ":" NR ": " length($0) " columns" }' "$file"
done > "$work/wide"
say "no line is over 100 columns" < "$work/wide"

for file in $code; do
    awk -v file="$file" 'END { if (NR > 1500) print file ": " NR " lines" }' "$file"
done > "$work/long"
say "no file is over 1500 lines" < "$work/long"

grep -n '[ 	]$' $code > "$work/blanks" || true
say "no line ends in blanks" < "$work/blanks"

# ---- names

# Static functions and tables of the library's sources, by file; what a template or a macro names is
# left to the test of the single header, where a double name does not compile.
for file in $(find src -name '*.[ch]' ! -name '*_template.h' | sort); do
    awk -v file="$file" '
        /^static / || /^CH_(FORCE_|NO)?INLINE / {
            line = $0
            if (line !~ /[(=\[;]/) next
            sub(/__attribute__\(\([^)]*\)\)/, "", line)
            gsub(/CH_(TARGET|ALIGNAS)\([^)]*\)/, "", line)
            sub(/[(=\[;].*/, "", line)
            sub(/[ \t]+$/, "", line)
            sub(/.*[ \t*]/, "", line)
            if (line ~ /[a-z]/ && !(line in seen)) print line, file
            seen[line] = 1
        }' "$file"
done | sort | awk '$1 == last { print $1 " is in " from " and in " $2 } { last = $1; from = $2 }' \
    > "$work/doubles"
say "no two statics share a name" < "$work/doubles"

# ---- what the library calls and exports

allowed='^(mem(cpy|set|move|cmp|chr)|str(len|cmp|ncmp|chr|nlen|rchr|str|spn|cspn)'
allowed="$allowed|v?snprintf|(__isoc(99|23)_)?sscanf|strto(l|ll|ul|ull|d|f)"
allowed="$allowed|(fma|exp|log|sqrt|pow|sin|cos|tan|tanh|floor|ceil|rint|nearbyint|lrint|round"
allowed="$allowed|lround|fabs|ldexp|frexp|fmod|fmax|fmin|erf|log2|exp2|cbrt|scalbn|trunc|sincos)f?"
allowed="$allowed|pthread_[a-z_]+|open(64)?|close|read|fstat(64)?|mmap(64)?|munmap|madvise|sysconf"
allowed="$allowed|syscall|clock_gettime|sched_(get|set)affinity|sched_yield|__sched_cpucount|getauxval"
allowed="$allowed|__errno_location|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__cpu_model|cblas_sgemm"
# (syscall: to ask Linux for tiles.) Of the GPU path: its libraries, and the shaders that it keeps.
allowed="$allowed|dlopen|dlsym|write|rename|unlink|getpid"
allowed="$allowed|__aarch64_(ldadd|swp|cas)[0-9a-z_]+|ch_[a-z0-9_]+|chord_[a-z0-9_]+)\$"

if [ ! -f "$library" ]; then
    skip "what the library calls" "$library is not built"
elif nm "$library" 2> /dev/null | grep -Eq '__(asan|tsan|ubsan)_'; then
    skip "what the library calls" "$library is built with sanitizers"
else
    nm "$library" 2> /dev/null | awk '$1 == "U" { print $2 }' | sed 's/@.*//' | sort -u |
        grep -Ev "$allowed" > "$work/calls" || true
    say "the library calls nothing that allocates, prints, exits or reads the environment" \
        < "$work/calls"
    nm -g "$library" 2> /dev/null | awk 'NF == 3 && $2 != "U" { print $3 }' | sort -u |
        grep -Ev '^(ch|chord)_' > "$work/exports" || true
    say "every global name begins with chord_ or ch_" < "$work/exports"
fi

# ---- what the repository holds

if git rev-parse --git-dir > /dev/null 2>&1; then
    git ls-files | sed 's|/.*||' | sort -u | grep -vxE \
        '\.ci|\.clang-format|\.github|\.gitignore|CMakeLists\.txt|LICENSE|README\.md|bench|docs|glsl|include|src|tests|tools' \
        > "$work/top" || true
    say "the top level holds what belongs there" < "$work/top"
else
    skip "top level" "this is no git checkout"
fi

# ---- format

if ! command -v clang-format > /dev/null; then
    skip "clang-format" "it is not installed"
elif ! clang-format --version | grep -q 'version 14\.'; then
    skip "clang-format" "another version than 14 formats in another way"
else
    clang-format --dry-run $code 2>&1 | grep 'warning:' | sed 's/:[0-9]*: warning.*//' |
        awk -F: '!seen[$1]++' > "$work/format" || true
    say "the code is as clang-format 14 leaves it" < "$work/format"
fi

find . -name '*.sh' -not -path './build*' -not -path './.git/*' | while read -r script; do
    sh -n "$script" 2>&1 || true
done > "$work/scripts"
say "the scripts are well formed" < "$work/scripts"

# ---- documents

for document in README.md docs/*.md; do
    grep -oE '(src|tests|tools|docs|include|bench|glsl|\.ci|\.github)/[A-Za-z0-9_./*-]*[A-Za-z0-9_*]' \
        "$document" | sort -u | while read -r path; do
        # shellcheck disable=SC2086 # a pattern is meant as one
        ls -d $path > /dev/null 2>&1 || echo "$document mentions $path, which is not there"
    done
done > "$work/paths"
say "the documents mention no missing file" < "$work/paths"

[ $failed = 0 ] || exit 1
