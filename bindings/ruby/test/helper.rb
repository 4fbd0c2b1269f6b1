# frozen_string_literal: true

require "minitest/autorun"
require "English"
require "fileutils"
require "pathname"
require "stringio"
require "timeout"
require "tmpdir"
require "keelkv"

# Each test runs in a directory of its own.
class DatabaseTest < Minitest::Test
  def setup
    @directory = Dir.mktmpdir("keelkv")
    @before = Dir.pwd
    Dir.chdir(@directory)
  end

  def teardown
    Dir.chdir(@before)
    FileUtils.rm_rf(@directory)
  end

  # Runs a program in another Ruby and returns what it printed, on both streams, and how it ended.
  def ruby(program)
    library = File.expand_path("../lib", __dir__)
    output = IO.popen([RbConfig.ruby, "-w", "-I", library, "-r", "keelkv", "-e", program], err: %i[child out], &:read)
    [output, $CHILD_STATUS]
  end

  def number(index)
    format("%06d", index)
  end

  # Changes bytes in the middle of some pages.
  def damage(file, pages)
    File.open(file, "r+b") do |io|
      pages.each do |page|
        io.seek((page * 4096) + 2000)
        io.write("damage")
      end
    end
  end
end
