#!/bin/sh
# Runs every test and ends with the line "N passed, N failed, N skipped".
#
#   sh tools/test.sh [PART...]
#
# Parts: setup build gates clang asan tsan levels aarch64 openblas golden; none: all of them. `quick`
# is setup, build and golden; `gpu` is the tests of the GPU path alone, which `build` and `asan` run
# too. Logs: build/test-logs.
set -u
cd "$(dirname "$0")/.." || exit 1
parts=${*:-setup build gates clang asan tsan levels aarch64 openblas golden}
[ "$parts" = quick ] && parts="setup build golden"
jobs=$(nproc 2> /dev/null || echo 2)
logs=build/test-logs
passed=0 failed=0 skipped=0
mkdir -p $logs

# step NAME COMMAND...: one line, with its time; the tail of its log if it fails. What the log says
# of single tests is counted one by one, else the step counts as one. Status 77 is skipped.
step() {
    name=$1
    shift
    log=$logs/$name.log
    begun=$(date +%s)
    "$@" > "$log" 2>&1 < /dev/null
    status=$?
    seconds=$(($(date +%s) - begun))
    if [ $status = 77 ]; then
        skipped=$((skipped + 1))
        printf 'skip %-24s %s\n' "$name" "$(tail -n 1 "$log")"
        return 1
    fi
    # shellcheck disable=SC2046 # three numbers
    set -- $(count "$log")
    good=$1 bad=$2 left=$3
    if [ $status != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    if [ $status = 0 ] && [ "$good" = 0 ]; then good=1; fi
    passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left))
    if [ $status = 0 ]; then
        printf 'ok   %-24s %4d s  %d passed, %d skipped\n' "$name" "$seconds" "$good" "$left"
        return 0
    fi
    printf 'FAIL %-24s %4d s  %d passed, %d failed: %s\n' "$name" "$seconds" "$good" "$bad" "$log"
    grep -E '^(FAIL|not ok)|error:|ERROR: |WARNING: ThreadSanitizer|\*\*\*' "$log" | head -n 20 |
        sed 's/^/     /'
    echo "     ..."
    tail -n 25 "$log" | sed 's/^/     /'
    return 1
}

# Passed, failed, skipped, as a log tells them: ctest's lines of single tests, or sums in the form
# "N passed, N failed".
count() {
    awk '/Test +#[0-9]+:/ {
             if ($0 ~ /Skipped/) skip++
             else if ($0 ~ / Passed /) pass++
             else fail++
             ctest = 1
         }
         !ctest && /^[0-9]+ passed, [0-9]+ failed/ {
             pass += $1
             fail += $3
             if ($6 ~ /^skipped/) skip += $5
         }
         END { print pass + 0, fail + 0, skip + 0 }' "$1"
}

skip() {
    skipped=$((skipped + 1))
    printf 'skip %-24s %s\n' "$1" "$2"
}

configure() {
    folder=$1
    shift
    cmake -B "$folder" "$@" && cmake --build "$folder" -j "$jobs"
}

tests() {
    folder=$1
    shift
    ctest --test-dir "$folder" --output-on-failure --timeout 900 -j "$jobs" "$@"
}

# Some kernels spread addresses wider than older sanitizers can take.
unspread() {
    if setarch "$(uname -m)" -R true 2> /dev/null; then
        setarch "$(uname -m)" -R "$@"
    else
        "$@"
    fi
}

model() {
    if [ -f ../shared/golden/stories260k/model.gguf ]; then
        cp ../shared/golden/stories260k/model.gguf "$1"
    else
        python3 tests/tiny_model.py "$1"
    fi
}

# Lanes under ThreadSanitizer: several of them, more than there are cores, prompts in pieces; and
# changing numbers of them.
lanes() {
    model build/test-logs/model.gguf || return 1
    for lanes in 2 3 5; do
        unspread build-tsan/chord run -m build/test-logs/model.gguf -p "Once upon a time" -n 24 \
            -t $lanes -b 3 --temp 0 || return 1
    done
    ${CC:-cc} -std=gnu11 -g -fsanitize=thread -o build-tsan/lanes_stress tests/lanes_stress.c \
        build-tsan/libchord.a -lpthread -lm && unspread timeout 300 build-tsan/lanes_stress || return 1
    echo "4 passed, 0 failed, 0 skipped"
}

# What a session takes on each level, against the C reference; that all kernels equal it is checked
# by the ctest of checkkern already.
levels() {
    for level in c avx2 avxvnni avx512; do
        build/checkkern --quick --cpu $level > build/test-logs/level 2>&1 || {
            cat build/test-logs/level
            return 1
        }
        echo "$level: $(tail -n 1 build/test-logs/level)"
    done
    echo "4 passed, 0 failed, 0 skipped"
}

# The gates as a CI runs them: all exact ones, then the shares.
gates() {
    sh tools/amalgamate.sh build/chord.h && build/chord gate
}

aarch64() {
    cat > build/test-logs/aarch64.cmake << 'END'
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
END
    configure build-aarch64 -DCMAKE_TOOLCHAIN_FILE="$(pwd)/build/test-logs/aarch64.cmake"
}

aarch64_checkkern() {
    # All levels at once: an emulator that has i8mm runs all kernels.
    qemu-aarch64 -cpu max build-aarch64/checkkern --quick
}

# The same logits, to the bit, on another architecture.
aarch64_logits() {
    model build/test-logs/model.gguf || return 1
    tokens=1,5,9,13,17,21,25,29,33,37,41,45
    build/chord logits -m build/test-logs/model.gguf --tokens $tokens -o build/test-logs/here.f32 &&
        qemu-aarch64 -cpu max build-aarch64/chord logits -m build/test-logs/model.gguf \
            --tokens $tokens -o build/test-logs/there.f32 -t 2 &&
        cmp build/test-logs/here.f32 build/test-logs/there.f32
}

openblas() {
    configure build-openblas -DCHORD_OPENBLAS=ON && tests build-openblas -E 'tidy|single_header|readme|gates'
}

for part in $parts; do
    case $part in
        setup)
            if ! sh tools/setup.sh test; then
                echo "setup failed: going on with what is here"
            fi
            ;;
        build)
            step gcc-build configure build -DCMAKE_C_COMPILER=gcc -DCHORD_TESTS=ON &&
                step gcc-tests tests build
            ;;
        gates)
            if [ ! -x build/chord ]; then
                skip gates "build/chord is not built"
            else
                step gates gates
            fi
            ;;
        clang)
            if command -v clang > /dev/null; then
                step clang-build configure build-clang -DCMAKE_C_COMPILER=clang
            else
                skip clang-build "clang is not installed"
            fi
            ;;
        asan)
            # Without the README's commands: its gates hold the sizes of what people build.
            step asan-build configure build-asan -DCHORD_SANITIZE=address,undefined &&
                step asan-tests tests build-asan -E 'tidy|single_header|readme'
            ;;
        tsan)
            # The unit tests are left out: Criterion's processes do not start under ThreadSanitizer.
            step tsan-build configure build-tsan -DCHORD_SANITIZE=thread -DCHORD_TESTS=OFF &&
                step tsan-lanes lanes
            ;;
        levels)
            if [ "$(uname -m)" != x86_64 ]; then
                skip levels "the levels are those of x86-64"
            elif [ ! -x build/checkkern ]; then
                skip levels "build/checkkern is not built"
            else
                step levels levels
            fi
            ;;
        aarch64)
            if ! command -v aarch64-linux-gnu-gcc > /dev/null; then
                skip aarch64 "aarch64-linux-gnu-gcc is not installed"
            elif step aarch64-build aarch64; then
                if command -v qemu-aarch64 > /dev/null; then
                    step aarch64-checkkern aarch64_checkkern
                    step aarch64-logits aarch64_logits
                else
                    skip aarch64-run "qemu-aarch64 is not installed"
                fi
            fi
            ;;
        openblas)
            if ls /usr/include/*/cblas.h > /dev/null 2>&1; then
                step openblas openblas
            else
                skip openblas "libopenblas-dev is not installed"
            fi
            ;;
        gpu)
            step gpu-build configure build -DCHORD_GLES=ON -DCHORD_TESTS=ON &&
                step gpu-tests tests build -R gpu
            ;;
        golden)
            step golden sh tests/golden.sh
            ;;
        *)
            echo "test.sh: there is no part '$part'" >&2
            exit 2
            ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
