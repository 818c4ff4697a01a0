#!/bin/sh
# Compiles the program. It needs clang, llvm and the kernel's and libbpf's headers (Debian: clang llvm libbpf-dev linux-libc-dev).
set -eu
dir=$(cd "$(dirname "$0")" && pwd)
out=${1:-$dir/../count.o}
cd "$dir"
clang -O2 -g -target bpf -mcpu=v2 -Wall -Werror -I"/usr/include/$(uname -m)-linux-gnu" -fdebug-prefix-map="$dir"=. -fdebug-compilation-dir=. -c count.c -o "$out"
llvm-strip -g "$out"
