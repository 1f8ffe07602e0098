# For ../run and ../package: see there.

run_java() {
  have javac default-jdk-headless java || return 0
  on_the_page java java/Test.java
  local jna=/usr/share/java/jna.jar
  [ -e "$jna" ] || missing "$jna (package libjna-java)" java || return 0
  javac -Xlint:all,-serial -Werror -cp "$jna" -d "$work/java" "$here"/java/*.java
  # A platform encoding that is not UTF-8, on purpose.
  LC_ALL=C java -Xmx64m -cp "$jna:$work/java" -Djna.boot.library.path="$(dirname "$(find /usr/lib -name 'libjnidispatch*' | head -1)")" Test
}
