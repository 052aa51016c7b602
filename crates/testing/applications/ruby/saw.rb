# frozen_string_literal: true

# Common to all programs of frameworks in Ruby: their arguments and their observations. Each step prints lines of
# JSON: no times, no random identifiers, so that two runs against servers that behave alike print the same
# bytes. A step that fails does not end the program: the steps after it show what else fails.
#
# Arguments: host, port.
# Environment: STEP_TIMEOUT, seconds that a step may wait for something.

require 'json'
require 'timeout'

HOST, PORT = ARGV
STEP_TIMEOUT = Float(ENV.fetch('STEP_TIMEOUT', '30'))
FAILURES = []
$stdout.sync = true

# Marks every value that the recipe seals, and nothing else.
def secret(text)
  "amatista #{text} Ñandú «corazón» 😀"
end

# Marks every value that stays in clear.
def open_text(text)
  "obsidiana #{text} Cigüeña"
end

# Prints these versions, as the page names them.
def versions(found)
  puts JSON.generate({ versions: found.map { |name, version| "#{name} #{version}" }.join(', ') })
end

# Prints an observation; the program fails at the end if it is not the expected one.
def saw(what, seen, wanted)
  FAILURES << "#{what}: saw #{seen.inspect}, wanted #{wanted.inspect}" if seen != wanted
  puts JSON.generate({ saw: what, value: seen })
end

def wait_until
  give_up = Process.clock_gettime(Process::CLOCK_MONOTONIC) + STEP_TIMEOUT
  until yield
    raise 'waited too long' if Process.clock_gettime(Process::CLOCK_MONOTONIC) > give_up

    sleep 0.02
  end
end

# Records a failure, and lets the program continue.
def step(what, &body)
  Timeout.timeout(STEP_TIMEOUT, &body)
rescue StandardError => e
  FAILURES << "#{what}: #{e.full_message(highlight: false)}"
  puts JSON.generate({ failed: what, with: e.class.name })
end

# Ends the program: with the failures on stderr and status 1, if there were any.
def finish
  abort(FAILURES.join("\n")) unless FAILURES.empty?
end
