# frozen_string_literal: true

module KV
  # What every failure of libkv is: a module, so that each class can also be what Ruby has for its kind.
  # <tt>rescue KV::Error</tt> rescues all of them, and <tt>rescue KeyError</tt> a KV::NotFound.
  module Error
    # The name of the status in kv.h, such as "KV_CORRUPT".
    attr_reader :status_name
    # The number of the status.
    attr_reader :status
    # The file in question; nil if it is not known.
    attr_reader :path
    # The number of the damaged page; nil if there is none or it is not known.
    attr_reader :page
    # The number of the table that the damaged page belongs to; nil if there is none or it is not known.
    attr_reader :table
    # The errno of the system call that failed; nil if none did.
    attr_reader :errno
    # How many bytes are needed, after KV::TooSmall.
    attr_reader :needed
    # The name of the function of kv.h that failed.
    attr_reader :function

    # Raises the error of the last call on this thread unless its status is KV_OK.
    def self.check(status, path = nil)
      raise last(status, path) unless status.zero?
    end

    # The error of the last call on this thread, which returned +status+.
    def self.last(status, path = nil)
      detail = Native::ErrorDetail.new_sized
      known = Native.kv_error_detail(detail).zero? && detail[:status] == status
      message = known ? detail[:message] : Native.kv_strerror(status)
      message = Names.in_ruby(message.dup.force_encoding(Encoding::UTF_8))
      error = CLASSES.fetch(status, UnknownStatus).new(message)
      error.send(:describe, status, path, known ? detail.to_hash : {})
      error
    end

    # The error of a call that came after the end of its object, which +text+ tells.
    def self.ended(path, text)
      error = BadHandle.new("#{path || 'a database in memory'}: #{text}")
      error.send(:describe, Native::BAD_HANDLE, path, {})
      error
    end

    # The error of a key that does not exist in a collection.
    def self.missing(collection, key)
      where = collection.path || "a database in memory"
      table = collection.number == Native::MAIN ? "the main table" : "table number #{collection.number}"
      message = "#{where}: there is no key #{key.inspect[0, 80]} in #{table}; " \
                "ask key? before, or give fetch a default"
      error = NotFound.new(message, receiver: collection, key: key)
      error.send(:describe, Native::NOTFOUND, collection.path, {})
      error
    end

    private

    def describe(status, path, detail)
      @status = status
      @status_name = Native.kv_status_name(status)
      @path = path
      @page = detail[:page]
      @table = detail[:table]
      @errno = detail[:sys_errno] unless detail.fetch(:sys_errno, 0).zero?
      @needed = detail[:needed] unless detail.fetch(:needed, 0).zero?
      @function = detail[:function]
    end
  end

  # A status that this version of the gem does not know.
  class UnknownStatus < StandardError
    include Error
  end

  # The class of each status, with the class of Ruby that it is a kind of.
  kinds = {
    -1 => [:NotFound, KeyError],
    -2 => [:Exists, StandardError],
    -3 => [:NoTable, KeyError],
    -4 => [:Conflict, StandardError],
    -5 => [:Busy, StandardError],
    -6 => [:Mismatch, StandardError],
    -7 => [:TooSmall, StandardError],
    -8 => [:Order, ArgumentError],
    -9 => [:Cancelled, StandardError],
    -20 => [:Invalid, ArgumentError],
    -21 => [:BadHandle, IOError],
    -22 => [:ReadOnly, IOError],
    -23 => [:ChildOpen, StandardError],
    -24 => [:TxnFailed, StandardError],
    -25 => [:TooBig, ArgumentError],
    -26 => [:WrongType, TypeError],
    -27 => [:Deadlock, ThreadError],
    -28 => [:Forked, IOError],
    -29 => [:Unsupported, StandardError],
    -40 => [:Io, IOError],
    -41 => [:NoSpace, IOError],
    -42 => [:NoMemory, StandardError],
    -43 => [:Access, IOError],
    -44 => [:NoFile, IOError],
    -45 => [:NoLocks, IOError],
    -46 => [:Limit, StandardError],
    -47 => [:Poisoned, IOError],
    -48 => [:InDoubt, IOError],
    -60 => [:Corrupt, IOError],
    -61 => [:NotADatabase, IOError],
    -62 => [:TooNew, IOError],
    -63 => [:TooOld, IOError],
    -64 => [:WrongBase, IOError],
    -90 => [:Panic, StandardError]
  }
  Error::CLASSES = kinds.transform_values do |name, kind|
    const_set(name, Class.new(kind) { include Error })
  end.freeze

  # Raised in a block of Database#transaction, Transaction#nested or Transaction#savepoint, it undoes what the block
  # wrote and goes no further.
  class Rollback < StandardError
  end
end
