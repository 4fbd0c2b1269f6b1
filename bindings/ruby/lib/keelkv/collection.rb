# frozen_string_literal: true

require_relative "reading"
require_relative "writing"

module KV
  # What a database, a snapshot, a transaction and a table have in common: sorted entries, used like a Hash.
  #
  # Keys and values are Strings. They come back as copies in ASCII-8BIT, or in the encoding that the database was opened
  # with. In a database (and in a table of one), each call is a snapshot or a transaction of its own; in a snapshot or
  # a transaction it belongs to that.
  #
  # These keywords choose entries by their keys, wherever +bounds+ are taken:
  #
  # [from:]    keys greater than or equal to this one
  # [after:]   keys greater than this one
  # [before:]  keys less than this one
  # [through:] keys less than or equal to this one
  # [prefix:]  keys that begin with this
  # [reverse:] true: from the greatest key down
  #
  # Every method raises a KV::Error if it fails: a KV::Corrupt for damage, also in the middle of an iteration, and a
  # KV::BadHandle if what it belongs to is closed or has ended.
  module Collection
    include Enumerable
    include Calls
    include Reading
    include Writing

    # The number of the table.
    attr_reader :number

    def inspect
      state = closed? ? "closed" : "table #{number}"
      "#<#{self.class} #{path.inspect} #{state}>"
    end

    # The encoding that strings get; nil is ASCII-8BIT.
    def encoding
      source.encoding
    end
  end
end
