# frozen_string_literal: true

# Sidekiq as an application uses it: jobs are enqueued one by one and in bulk, one fails and is retried, one is
# scheduled, a queue is listed and cleared. A separate worker process of Sidekiq runs the jobs.

require_relative '../ruby/saw'

ENV['REDIS_URL'] = "redis://#{HOST}:#{PORT}"
require_relative 'jobs'
require 'sidekiq/api'
require 'sidekiq/scheduled'

Sidekiq.logger.level = Logger::ERROR
QUEUE = Sidekiq::Queue.new('default')
# From version 7 on it needs the configuration.
SCHEDULER = Sidekiq::Scheduled::Enq.new(
  *(Sidekiq.default_configuration if Sidekiq.respond_to?(:default_configuration))
)
WORKER = []

# The reports of the jobs since, once there are as many as expected.
def report(size)
  lines = []
  wait_until { (lines = Sidekiq.redis { |redis| redis.lrange('report', 0, -1) }).size >= size }
  Sidekiq.redis { |redis| redis.del('report') }
  lines.map { |line| JSON.parse(line) }.sort
end

def line(kind, text)
  [kind, Digest::SHA256.hexdigest(text)]
end

def enqueue
  Letter.perform_async('one', secret('uno'))
  bulk = (1..5).map { |i| ['bulk', secret("lote #{i}")] }
  Sidekiq::Client.push_bulk('class' => Letter, 'args' => bulk)
  waiting = [*bulk, ['one', secret('uno')]]
  saw('waiting', [QUEUE.size, QUEUE.map(&:args).sort], [6, waiting])
  Letter.set(queue: 'archive').perform_async('never', secret('nunca'))
  archive = Sidekiq::Queue.new('archive')
  saw('another queue', archive.first.args, ['never', secret('nunca')])
  archive.clear
  saw('cleared', Sidekiq::Queue.all.map(&:name), ['default'])

  jobs = File.join(__dir__, 'jobs.rb')
  WORKER << spawn('sidekiq', '-r', jobs, '-c', '2', '-t', '1', out: File::NULL)
  saw('done', report(6), waiting.map { |arguments| line(*arguments) }.sort)
end

def remove
  archive = Sidekiq::Queue.new('archive')
  %w[removed kept].each { |kind| Letter.set(queue: 'archive').perform_async(kind, secret('cinco')) }
  archive.find { |job| job.args.first == 'removed' }.delete
  saw('removed', archive.map(&:args), [['kept', secret('cinco')]])
  dead = Sidekiq::DeadSet.new
  dead.kill(Sidekiq.dump_json(archive.first.item))
  saw('dead', [dead.map(&:args), dead.size], [[['kept', secret('cinco')]], 1])
  dead.first.delete
  archive.clear
  saw('nothing is left', [archive.size, dead.size], [0, 0])
end

def watch
  Letter.perform_async('waits', secret('seis'))
  jobs = []
  # A worker process reports its jobs every few seconds: first those that are done.
  wait_until do
    payloads = Sidekiq::WorkSet.new.map { |_, _, work| work['payload'] }
    jobs = payloads.map { |payload| payload.is_a?(String) ? JSON.parse(payload) : payload }
    jobs = jobs.map { |job| job['args'] }.select { |args| args.first == 'waits' }
    !jobs.empty?
  end
  saw('at work', jobs, [['waits', secret('seis')]])
  Sidekiq.redis { |redis| redis.set('seen', '1') }
  saw('done as well', report(1), [line('waits', secret('seis'))])
end

def fail_once
  Letter.perform_async('fails once', secret('dos'))
  retries = Sidekiq::RetrySet.new
  wait_until { retries.size == 1 }
  failed = retries.first
  why = [failed['error_message'], failed.args, failed['retry_count']]
  saw('failed', why, ['the printer is on fire', ['fails once', secret('dos')], 0])
  # It is due now; the scheduler moves it back to its queue.
  failed.reschedule(Time.now.to_f)
  SCHEDULER.enqueue_jobs
  saw('retried', report(1), [line('fails once', secret('dos'))])
end

def schedule
  Letter.perform_in(60, 'scheduled', secret('tres'))
  scheduled = Sidekiq::ScheduledSet.new
  saw('scheduled', scheduled.map(&:args), [['scheduled', secret('tres')]])
  # It is due now.
  scheduled.first.reschedule(Time.now.to_f)
  wait_until do
    SCHEDULER.enqueue_jobs
    scheduled.size.zero?
  end
  saw('its time came', report(1), [line('scheduled', secret('tres'))])
  Letter.perform_in(3600, 'tomorrow', secret('mañana'))
end

def stop
  Process.kill('TERM', WORKER.first)
  saw('worker', Process.wait2(WORKER.shift).last.exitstatus, 0)
  left = [QUEUE.size, Sidekiq::RetrySet.new.size, Sidekiq::DeadSet.new.size]
  saw('left', left, [0, 0, 0])
  # Jobs that no worker has begun stay in their queue.
  Letter.perform_async('later', secret('cuatro'))
  saw('stays', QUEUE.map(&:args), [['later', secret('cuatro')]])
end

CLIENT = Gem.loaded_specs['redis'] || Gem.loaded_specs.fetch('redis-client')
versions('Sidekiq' => Sidekiq::VERSION, 'Redis client' => CLIENT.version)
step('enqueue') { enqueue }
step('remove') { remove }
step('watch') { watch }
step('fail once') { fail_once }
step('schedule') { schedule }
step('stop') { stop }
# If an earlier step has failed.
WORKER.each { |worker| Process.kill('KILL', worker) }
finish
