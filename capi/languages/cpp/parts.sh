# For ../run and ../package: see there.

run_cpp() {
  local compiler exceptions package
  on_the_page cpp cpp/test.cpp
  for compiler in g++ clang++; do
    package=${compiler/clang++/clang}
    have "$compiler" "$package" cpp || continue
    for exceptions in -fexceptions -fno-exceptions; do
      "$compiler" -std=c++17 -O1 -Wall -Wextra -Wpedantic -Werror "$exceptions" -I "$installed/include" "$here/cpp/test.cpp" \
        -L "$installed/lib" -lpaytoken -pthread -o "$work/cpp"
      "$work/cpp"
    done
  done
}
