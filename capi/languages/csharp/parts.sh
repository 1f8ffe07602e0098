# For ../run and ../package: see there.

# Paytoken.VERSION.nupkg. The library lies where NuGet copies it from beside a program.
pack_csharp() {
  local root=$work/csharp platform file
  mkdir -p "$root/lib/netstandard2.0" "$root/_rels"
  printf '[assembly: System.Reflection.AssemblyVersion("%s")]\n[assembly: System.Runtime.Versioning.TargetFramework(".NETStandard,Version=v2.0")]\n' \
    "$version" >"$work/assembly.cs"
  mcs -warnaserror -warn:4 -target:library -optimize -define:TRACE -out:"$root/lib/netstandard2.0/Paytoken.dll" \
    "$here/csharp/Paytoken.cs" "$work/assembly.cs"
  for platform in x86_64-linux-gnu:linux-x64/native/libpaytoken.so aarch64-linux-gnu:linux-arm64/native/libpaytoken.so \
    x86_64-windows:win-x64/native/paytoken.dll aarch64-macos:osx-arm64/native/libpaytoken.dylib; do
    file=$(native "${platform%%:*}")
    [ -z "$file" ] || install -D -m 644 "$file" "$root/runtimes/${platform#*:}"
  done
  for file in Paytoken.nuspec README.md; do sed "s/@VERSION@/$version/" "$here/csharp/$file.in" >"$root/$file"; done
  cp "$here"/../../LICENSE-{MIT,APACHE} "$root/"
  cat >"$root/[Content_Types].xml" <<'END'
<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
  <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml" />
  <Default Extension="nuspec" ContentType="application/octet" />
  <Default Extension="dll" ContentType="application/octet" />
  <Default Extension="so" ContentType="application/octet" />
  <Default Extension="dylib" ContentType="application/octet" />
  <Default Extension="md" ContentType="application/octet" />
  <Override PartName="/LICENSE-MIT" ContentType="application/octet" />
  <Override PartName="/LICENSE-APACHE" ContentType="application/octet" />
</Types>
END
  cat >"$root/_rels/.rels" <<'END'
<?xml version="1.0" encoding="utf-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
  <Relationship Type="http://schemas.microsoft.com/packaging/2010/07/manifest" Target="/Paytoken.nuspec" Id="R1" />
</Relationships>
END
  zipped "$out/Paytoken.$version.nupkg" "$root"
}

# Nothing but the package, unpacked as NuGet unpacks it, and the test compiled against it.
run_csharp() {
  have mcs mono-mcs csharp && have mono mono-runtime csharp || return 0
  on_the_page csharp csharp/Test.cs
  local made assembly=packages/paytoken/$(version)/lib/netstandard2.0 said
  made=$(packages csharp)/Paytoken.$(version).nupkg
  mkdir -p "$work/csharp/none"
  cd "$work/csharp"
  python3 -m zipfile -e "$made" "packages/paytoken/$(version)"
  mcs -warnaserror -out:test.exe -r:"$assembly/Paytoken.dll" -r:System.Net.Http.dll "$here/csharp/Test.cs"
  mcs -warnaserror -out:host.exe -r:"$assembly/Paytoken.dll" -r:System.Net.Http.dll "$here/csharp/Host.cs"
  env -u LD_LIBRARY_PATH MONO_PATH="$assembly" mono test.exe

  # As a build lays it out: beside the program, the libraries of all platforms in a folder.
  mkdir built
  cp -r test.exe "$assembly/Paytoken.dll" "packages/paytoken/$(version)/runtimes" built/
  [ "$(env -u LD_LIBRARY_PATH mono built/test.exe found)" = found ]
  rm -r built/runtimes
  finds_its_library 'C#' mono built/test.exe found
  said=$(env -u LD_LIBRARY_PATH mono built/test.exe found 2>&1 || true)
  [[ $said == *"DllNotFoundException"*"No such file"* && $said != *TypeInitialization* ]] || { echo "C#: $said" >&2; exit 1; }
  echo "   C#: $(stat -c '%n, %s bytes' "$made" | sed 's|.*/||')"
}

hosts_csharp() {
  [ -e "$work/csharp/host.exe" ] || return 0
  serves 'C#' env -u LD_LIBRARY_PATH MONO_PATH="$(echo "$work"/csharp/packages/paytoken/*/lib/netstandard2.0)" mono "$work/csharp/host.exe"
}
