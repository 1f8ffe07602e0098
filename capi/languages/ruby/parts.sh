# For ../run and ../package: see there.

run_ruby() {
  have ruby ruby ruby || return 0
  on_the_page ruby ruby/test.rb
  ruby -w "$here/ruby/test.rb"
}
