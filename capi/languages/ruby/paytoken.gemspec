# frozen_string_literal: true

# For pack_ruby of parts.sh, which gives the version, the platform and the library of that platform.
Gem::Specification.new do |gem|
  gem.name = "paytoken"
  gem.version = ENV.fetch("GEM_VERSION")
  gem.platform = ENV.fetch("GEM_PLATFORM")
  gem.summary = "Tokens for payment providers' APIs: cached, renewed and shared between processes"
  gem.description = "Gets bearer tokens, caches and renews them, and never locks an account out or fetches twice."
  gem.authors = ["The paytoken contributors"]
  gem.licenses = ["MIT", "Apache-2.0"]
  gem.required_ruby_version = ">= 3.0"
  gem.files = Dir["lib/**/*", "README.md", "LICENSE-*"].select { |file| File.file?(file) }.sort
  gem.metadata = { "rubygems_mfa_required" => "true" }
end
