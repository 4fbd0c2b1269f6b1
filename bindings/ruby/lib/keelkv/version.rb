# frozen_string_literal: true

module KV
  # The version of this gem, which is that of the libkv that it was written for.
  VERSION = "0.1.0"
end
