# frozen_string_literal: true

module KV
  # A check, a backup or a salvage on its way, with the callbacks of the caller.
  #
  # Nothing may leap out of a callback over the library. So an exception is kept, ends the job, and is raised when the
  # library has returned; break and throw end the job, which raises KV::Cancelled.
  class Job
    FLAGS = { space: Native::JOB_CHECK_SPACE, compact: Native::JOB_COMPACT, overwrite: Native::JOB_OVERWRITE }.freeze
    private_constant :FLAGS

    # Yields kv_job_options, the callback for faults and the callback that writes, each nil if it is not wanted.
    def self.run(progress: nil, on_fault: nil, write: nil, **flags, &block)
      new(progress, on_fault, write, flags).run(&block)
    end

    def initialize(progress, on_fault, write, flags)
      @options = Native::JobOptions.new_sized
      @options[:flags] = flags.sum { |name, given| given ? FLAGS.fetch(name) : 0 }
      @progress = progress && FFI::Function.new(:int32, %i[pointer uint64 uint64]) do |_ctx, done, total|
        guard { progress.call(done, total) }
      end
      @options[:progress] = @progress
      @on_fault = on_fault && ->(_ctx, fault) { guard { on_fault.call(Job.fault(fault)) } }
      @write = write && ->(_ctx, data, len) { guard { write.call(data.get_bytes(0, len)) } }
    end

    def run
      result = yield @options, @on_fault, @write
      raise @raised if @raised

      result
    rescue Cancelled, Io => e
      raise(@raised || e)
    end

    # A fault as a Hash. A kind that this version does not know is nil.
    def self.fault(pointer)
      fault = Native::Fault.new(pointer).to_hash
      fault[:status] = Native.kv_status_name(fault[:status])
      fault[:kind] = Native::FAULTS.key(fault[:kind])
      fault[:message] = Names.in_ruby(fault[:message].dup.force_encoding(Encoding::UTF_8))
      fault
    end

    # Calls a block from which nothing may leap, and whose exception has nobody to go to: it is only reported.
    def self.alone
      yield
    rescue Exception => e # rubocop:disable Lint/RescueException
      warn "keelkv: a callback raised #{e.class}: #{e.message}"
    ensure
      return nil # rubocop:disable Lint/EnsureReturn
    end

    private

    # Returns 0 if the block ends, and otherwise what ends the job (as an errno, EIO).
    def guard
      answer = Errno::EIO::Errno
      yield
      answer = 0
    rescue Exception => e # rubocop:disable Lint/RescueException -- it is raised again
      @raised = e
    ensure
      # Without this return, a break or throw in the block would leave the library's functions unfinished for ever.
      return answer # rubocop:disable Lint/EnsureReturn
    end
  end
end
