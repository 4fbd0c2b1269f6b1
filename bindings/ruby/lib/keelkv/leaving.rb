# frozen_string_literal: true

module KV
  # How a block that writes is left. What it did is kept when it ends and when return, break or throw leave it, and is
  # undone by an exception and with a thread that is killed.
  module Leaving # :nodoc:
    # Yields, and then calls +keep+ or +undo+ once. Both are called if keep does not come to its end.
    def self.watch(keep, undo)
      ended = nil
      result = yield
      ended = true
      result
    rescue Exception # rubocop:disable Lint/RescueException -- it is raised again
      ended = false
      raise
    ensure
      begin
        keep.call if ended || (ended.nil? && keeps?)
      ensure
        undo.call # which does nothing after keep
      end
    end

    # Whether a block that neither ended nor raised was left by return, break or throw of the program.
    def self.keeps?
      Thread.current.status != "aborting" && !perhaps_timed_out?
    end

    # Until its version 0.4, Timeout leaves blocks by a throw as well, which cannot be told from others.
    def self.perhaps_timed_out?
      return false unless defined?(::Timeout::VERSION)
      return false unless (::Timeout::VERSION.split(".").map(&:to_i) <=> [0, 4]).negative?

      file = ::Timeout.method(:timeout).source_location.first
      caller_locations.any? { |place| place.path == file }
    end
    private_class_method :keeps?, :perhaps_timed_out?
  end
end
