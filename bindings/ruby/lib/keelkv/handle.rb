# frozen_string_literal: true

module KV
  # A handle of the library and its release: by hand, or by the collector when its owner is gone, and not in a child,
  # where the handles of the parent are none. Handles are numbers, so a late or second release does no harm.
  class Handle
    # What the finalizer needs, apart from the owner, which it must not keep alive.
    State = Struct.new(:pointer, :pid, :open)

    def initialize(owner, pointer, release)
      @state = State.new(pointer, Process.pid, true)
      @release = release
      ObjectSpace.define_finalizer(owner, self.class.releaser(@state, release))
    end

    def self.releaser(state, release)
      lambda do |_id|
        Native.public_send(release, state.pointer) if state.open && state.pid == Process.pid
      end
    end

    # The handle for a call, also after its end: the library then says what has become of it.
    def to_ptr
      @state.pointer
    end

    def open?
      @state.open
    end

    # Whether the handle belongs to another process, from which this one was forked.
    def foreign?
      @state.pid != Process.pid
    end

    # What +dup+ and +clone+ of an owner call. A copy would release the handle when it is collected; it has its
    # finalizer already.
    def self.refuse_copy(copy, advice)
      ObjectSpace.undefine_finalizer(copy)
      raise TypeError, "a #{copy.class} cannot be copied; #{advice}"
    end

    # From now on there is nothing to release.
    def ended
      @state.open = false
    end

    # Releases the handle if that is still to be done.
    def release
      return unless @state.open

      ended
      Native.public_send(@release, @state.pointer) unless foreign?
    end
  end
end
