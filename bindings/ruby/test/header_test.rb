# frozen_string_literal: true

require_relative "helper"

# The gem beside kv.h and the sources of the library: statuses, constants, structs, functions, and the names of C in
# messages.
class HeaderTest < DatabaseTest
  ROOT = File.expand_path("../../..", __dir__)
  HEADER = File.read("#{ROOT}/include/kv.h").gsub(%r{/\*.*?\*/}m, "")

  # What kv.h has no number for: UINT64_MAX, and a limit that it tells in words.
  IN_WORDS = { NONE: (2**64) - 1, BATCH_BYTES_MAX: (2**32) - 1 }.freeze
  CHOICES = {
    DURABILITIES: { full: "DURABILITY_FULL", lazy: "DURABILITY_LAZY" },
    VERIFICATIONS: { once: "VERIFY_ONCE", always: "VERIFY_ALWAYS", never: "VERIFY_NEVER" },
    FAULTS: { unreadable: "FAULT_UNREADABLE", contradiction: "FAULT_CONTRADICTION" },
    PUTS: { new: "NO_OVERWRITE", existing: "NO_INSERT", append: "APPEND" },
    SEEKS: { eq: "SEEK_EQ", ge: "SEEK_GE", gt: "SEEK_GT", le: "SEEK_LE", lt: "SEEK_LT" }
  }.freeze
  # The names of the structs that are called otherwise than in kv.h.
  RENAMED = { "kv_error" => :ErrorDetail }.freeze
  # Structs that the gem has no need for: entries and operations are packed, and extents are for tools.
  WITHOUT = %w[kv_entry kv_extent kv_op].freeze
  TYPES = {
    "uint32_t" => FFI::Type::UINT32, "int32_t" => FFI::Type::INT32, "kv_status" => FFI::Type::INT32,
    "uint64_t" => FFI::Type::UINT64, "int64_t" => FFI::Type::INT64, "kv_table" => FFI::Type::UINT64,
    "size_t" => FFI.find_type(:size_t)
  }.freeze
  # What is only said to programs that fill structs or hold handles themselves, as the gem does for its users.
  NOT_SAID = %w[
    KV_BATCH_INIT KV_BATCH_KEYS KV_BATCH_VALUES KV_BLIND KV_COMPACT_OPTIONS_INIT KV_DURABILITY_FULL KV_DURABILITY_LAZY
    KV_JOB_CHECK_SPACE KV_JOB_COMPACT KV_NONE KV_OPEN_MEMORY KV_OPTIONS_INIT KV_OP_DELETE KV_OP_PUT KV_RANGE_AFTER
    KV_RANGE_BEFORE KV_RANGE_FROM KV_RANGE_INIT KV_RANGE_PREFIX KV_RANGE_REVERSE KV_RANGE_THROUGH KV_SEEK_EQ
    KV_SEEK_GE KV_SEEK_GT KV_SEEK_LE KV_SEEK_LT KV_SNAPSHOT_KEEP KV_TXN_NOWAIT KV_TXN_OPTIONS_INIT KV_VERIFY_ALWAYS
    KV_VERIFY_NEVER KV_VERIFY_ONCE kv_buf kv_fd_write kv_get_buf kv_op
  ].freeze

  def test_every_status_has_a_class
    statuses = HEADER.scan(/^#define KV_[A-Z_]+ \((-\d+)\)$/).flatten.map(&:to_i)
    assert_equal statuses.sort, KV::Error::CLASSES.keys.sort
    KV::Error::CLASSES.each do |status, kind|
      error = KV::Error.last(status)
      assert_instance_of kind, error
      assert_kind_of KV::Error, error
      assert_kind_of StandardError, error
      name = KV::Native.kv_status_name(status).delete_prefix("KV_").downcase.delete("_")
      assert_equal name, kind.name.delete_prefix("KV::").downcase
    end
  end

  def test_constants_are_those_of_the_header
    theirs = HEADER.scan(/^#define KV_(\w+) \(?(-?\d\w*)\)?$/).to_h { |name, value| [name.to_sym, Integer(value)] }
    theirs.update(IN_WORDS)
    mine = KV::Native.constants.to_h { |name| [name, KV::Native.const_get(name)] }
    numbers = mine.select { |_, value| value.is_a?(Integer) }
    assert_operator numbers.size, :>, 20
    numbers.each { |name, value| assert_equal theirs[name], value, name }
    # A map that is not compared here would be another place for numbers.
    assert_equal CHOICES.keys.sort, mine.select { |_, value| value.is_a?(Hash) && value.values.all?(Integer) }.keys.sort
    CHOICES.each do |name, choices|
      assert_equal choices.transform_values { |called| theirs.fetch(called.to_sym) }, mine[name].except(nil), name
      assert_equal 0, mine[name].fetch(nil, 0)
    end
  end

  def test_structs_are_those_of_the_header
    compared = structs.filter_map do |name, fields|
      next if WITHOUT.include?(name)

      called = RENAMED.fetch(name) { name.delete_prefix("kv_").split("_").map(&:capitalize).join.to_sym }
      mine = KV::Native.const_get(called).new.layout.fields
      assert_equal fields.map(&:first), mine.map { |field| field.name.to_s }, name
      fields.zip(mine) { |(field, type), own| assert same_type?(type, own.type), "#{name}.#{field}: #{own.type}" }
      called
    end
    all = KV::Native.constants.select { |name| struct?(KV::Native.const_get(name)) }
    assert_equal all.sort, [*compared, :SizedStruct].sort
  end

  def struct?(thing)
    thing.is_a?(Class) && thing < FFI::Struct
  end

  # The fields of each struct: pairs of a name and a type, where every pointer is "*".
  def structs
    HEADER.scan(/^typedef struct (\w+) \{(.*?)^\} \w+;/m).to_h do |name, body|
      fields = body.split(";").map(&:strip).reject(&:empty?).map do |field|
        type, pointer, called, array = field.match(/\A(?:const )?(\w+) (\*?)(\w+)(\[\d+\])?\z/).captures
        [called, pointer == "*" || type.end_with?("_fn") ? "*" : "#{type}#{array}"]
      end
      [name, fields]
    end
  end

  def same_type?(theirs, mine)
    case theirs
    when "*" then mine == FFI::Type::POINTER || mine == FFI::Type::STRING || mine.is_a?(FFI::FunctionType)
    when "kv_slice" then mine.is_a?(FFI::StructByValue) && mine.struct_class == KV::Native::Slice
    when "uint8_t[16]" then mine.is_a?(FFI::ArrayType) && [mine.elem_type, mine.length] == [FFI::Type::UINT8, 16]
    else TYPES.fetch(theirs) == mine
    end
  end

  def test_functions_are_those_of_the_header
    functions = HEADER.scan(/^KV_API .*?[ *](kv_\w+)\((.*?)\)[^()]*;/m).to_h
    assert_operator functions.size, :>, 80
    missing = functions.keys - KV::Native.singleton_methods.map(&:to_s)
    # What Ruby does in another way: its strings are copies, and batches are packed.
    assert_equal %w[kv_buf_release kv_buf_retain kv_cursor_next_many kv_db_backup kv_db_check kv_db_delete kv_db_put
                    kv_delete_packed kv_diff_fill kv_error_message kv_fd_write kv_get_buf kv_get_copy kv_get_many
                    kv_reserve kv_scan kv_value_extents kv_version_number kv_write_batch], missing.sort
    KV::Native::SHORT.merge(KV::Native::LONG).each do |name, arguments|
      assert_equal functions.fetch(name.to_s).count(",") + 1, arguments.size, name
    end
  end

  def test_each_name_of_c_in_a_message_has_one_of_ruby
    skip "the sources of the library are not here" unless Dir.exist?("#{ROOT}/capi")

    names = Dir["#{ROOT}/{src,capi/src}/**/*.rs"].flat_map { |file| names_in(File.read(file)) }
    flags = File.read("#{ROOT}/capi/src/border/flags.rs")
    names = (names + flags[/const NAMED.*?\];/m].scan(/KV_\w+/)).uniq
    assert_operator names.size, :>, 50
    assert_equal NOT_SAID, (names - KV::Names::RUBY.keys).sort
    assert_empty KV::Names::RUBY.keys - names
  end

  # The names of C in the strings of a source but for those that are names and nothing else, as c"kv_open" is.
  def names_in(source)
    token = %r{//[^\n]*|/\*.*?\*/|'(?:\\.[^']*|[^\\'])'|(\w*)"((?:[^"\\]|\\.)*)"}m
    code = source.split("#[cfg(test)]").first
    strings = code.scan(token).filter_map { |prefix, string| string if prefix == "" }
    strings.flat_map { |string| string.scan(/\b(?:kv_[a-z_]+|KV_[A-Z_]+)\b/) }
  end

  def test_messages_have_the_names_of_ruby
    KV.open("a.kv") do |db|
      db["a"] = "1"
      assert_match(/open it without new: true, or/, assert_raises(KV::Exists) { KV.open("a.kv", new: true) }.message)
      assert_match(/without existing: true or read_only: true/,
                   assert_raises(KV::NoFile) { KV.open("none.kv", existing: true) }.message)
      assert_match(/put without only: :new/, assert_raises(KV::Exists) { db.put("a", "2", only: :new) }.message)
      db.snapshot do |snapshot|
        assert_match(/begin one with transaction\z/, assert_raises(KV::ReadOnly) { snapshot["a"] = "2" }.message)
        db.create_table("later")
        assert_match(/\(refresh\)/, assert_raises(KV::NoTable) { snapshot.table("later") }.message)
      end
      assert_match(/use clear for the whole table/, assert_raises(KV::Invalid) { db.delete_range }.message)
      db.backup("b.kv")
      assert_match(/give overwrite: true/, assert_raises(KV::Exists) { db.backup("b.kv") }.message)
    end
  end

  def test_what_is_the_programs_stays
    ["/tmp/kv_open KV_MAIN/a.kv: it is busy", 'there is no table "kv_open"', "a.kv: see /kv_open/x.kv"].each do |text|
      assert_equal text, KV::Names.in_ruby(text)
    end
    assert_equal "/kv_open.kv: use KV.open, or KV.salvage.",
                 KV::Names.in_ruby("/kv_open.kv: use kv_open(), or kv_salvage.")
  end
end
