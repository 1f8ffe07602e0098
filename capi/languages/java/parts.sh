# For ../run and ../package: see there.

# paytoken-VERSION.jar, and its POM beside it, as Maven's repositories have them. The library lies where JNA looks for it.
# PAYTOKEN_MAVEN_GROUP: who publishes. A group in reverse-domain form belongs to who has the domain; so the package is `paytoken`, and the group
# is one's own.
pack_java() {
  local classes=$work/java/classes pom maven jna=/usr/share/java/jna.jar group=${PAYTOKEN_MAVEN_GROUP:-paytoken}
  maven=$classes/META-INF/maven/$group/paytoken
  pom=$out/paytoken-$version.pom
  mkdir -p "$maven"
  javac --release 17 -Xlint:all,-serial -Werror -cp "$jna" -d "$classes" "$here/java/Paytoken.java"
  local platform file names="x86_64-linux-gnu:linux-x86-64/libpaytoken.so aarch64-linux-gnu:linux-aarch64/libpaytoken.so
    x86_64-windows:win32-x86-64/paytoken.dll aarch64-macos:darwin-aarch64/libpaytoken.dylib"
  for platform in $names; do
    file=$(native "${platform%%:*}")
    [ -z "$file" ] || install -D -m 644 "$file" "$classes/${platform#*:}"
  done
  sed "s/@GROUP@/$group/; s/@VERSION@/$version/" "$here/java/pom.xml.in" >"$pom"
  cp "$pom" "$maven/pom.xml"
  printf 'groupId=%s\nartifactId=paytoken\nversion=%s\n' "$group" "$version" >"$maven/pom.properties"
  cp "$here"/../../LICENSE-{MIT,APACHE} "$classes/META-INF/"
  sed "s/@VERSION@/$version/" "$here/java/README.md.in" >"$classes/META-INF/README.md"
  printf 'Automatic-Module-Name: paytoken\nImplementation-Title: paytoken\nImplementation-Version: %s\n' "$version" >"$work/java/manifest"
  (
    cd "$classes"
    mapfile -t files < <(find . -type f | LC_ALL=C sort)
    jar --create --file "$out/paytoken-$version.jar" --manifest "$work/java/manifest" \
      --date "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" "${files[@]}"
  )
}

# The empty folder: nothing but the jar, JNA, and the test compiled against them.
run_java() {
  have javac default-jdk-headless java || return 0
  on_the_page java java/Test.java
  local jna=/usr/share/java/jna.jar made
  [ -e "$jna" ] || missing "$jna (package libjna-java)" java || return 0
  made=$(packages java)
  jna=$jna:$made/paytoken-$(version).jar
  javac -Xlint:all,-serial -Werror -cp "$jna" -d "$work/shop" "$here"/java/{Test,Host}.java
  mkdir "$work/unpacked"
  cd "$work/shop"
  java_in_the_shop() { env -u LD_LIBRARY_PATH java -Xmx64m -Djna.tmpdir="$work/unpacked" -cp "$jna:." "$@"; }
  # A platform encoding that is not UTF-8, on purpose.
  LC_ALL=C java_in_the_shop shop.Test

  # The three ways to the library.
  mkdir "$work/none"
  "$here/package" "$work/bare" "$work/none" java
  jna=${jna%%:*}:$work/bare/paytoken-$(version).jar
  finds_its_library Java java -cp "$jna:." shop.Test found
  echo "   Java: $(stat -c '%n, %s bytes' "$made"/*.jar | sed 's|.*/||')"
}

hosts_java() {
  have javac default-jdk-headless java && [ -d "$work/shop" ] || return 0
  local jar
  jar=$(find "$work/packages/java" -name '*.jar')
  cd "$work/shop"
  serves Java env -u LD_LIBRARY_PATH java -Xmx256m -cp "/usr/share/java/jna.jar:$jar:." shop.Host
}
