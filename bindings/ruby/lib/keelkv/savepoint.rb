# frozen_string_literal: true

module KV
  # A point to which a write transaction can go back. Transaction#savepoint makes one.
  class Savepoint
    def initialize(transaction)
      @transaction = transaction
      @number = transaction.create_savepoint
    end

    # Undoes what was written since. The savepoint stays, and later ones are gone. A transaction that has failed since,
    # on a full disk for instance, goes on. Cursors stay at their keys.
    def rollback
      @transaction.rollback_savepoint(@number)
      self
    end

    # Forgets the savepoint and later ones. What was written since stays.
    def release
      @transaction.release_savepoint(@number)
      nil
    end

    # Ends it with its block: once, and not if the program has released it, or has gone back to an earlier one.
    def leave(undo:) # :nodoc:
      return if @left || @transaction.closed?

      rollback if undo
      release
    rescue Invalid
      nil
    ensure
      @left = true
    end
  end
end
