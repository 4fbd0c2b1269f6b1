# frozen_string_literal: true

require_relative "helper"

# The programs of README.md run, and give what their comments say.
class ReadmeTest < DatabaseTest
  def test_the_tour
    readme = File.read(File.expand_path("../README.md", __dir__))
    programs = readme.scan(/^```ruby\n(.*?)^```$/m).flatten
    assert_operator programs.size, :>=, 8
    checked = 0
    program = programs.join("\n").gsub(/^( *)(\S.*?) +# => (.*)$/) do
      checked += 1
      "#{Regexp.last_match(1)}expect((#{Regexp.last_match(3)}), (#{Regexp.last_match(2)}))"
    end
    assert_operator checked, :>=, 20
    instance_eval(program, "README.md")
  end

  def expect(expected, found)
    expected.nil? ? assert_nil(found) : assert_equal(expected, found)
  end
end
