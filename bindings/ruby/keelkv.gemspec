# frozen_string_literal: true

require_relative "lib/keelkv/version"

Gem::Specification.new do |spec|
  spec.name = "keelkv"
  spec.version = KV::VERSION
  spec.authors = ["The authors of libkv"]
  spec.summary = "libkv for Ruby: an embedded, transactional, ordered key-value store in one file"
  spec.description = "Opens databases of libkv: sorted keys, snapshots, atomic commits and checksums, used like a Hash."
  spec.licenses = %w[MIT Apache-2.0]
  spec.required_ruby_version = ">= 3.0"
  # libkv.so.0 is packed if somebody has put it beside the sources; otherwise the system's is used.
  spec.files = Dir.chdir(__dir__) { Dir["lib/**/*.rb", "lib/keelkv/libkv.so*", "README.md"] }
  spec.add_dependency "ffi", "~> 1.15"
  spec.metadata = { "rubygems_mfa_required" => "true" }
end
