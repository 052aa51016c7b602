# frozen_string_literal: true

# The jobs, loaded by the worker process and by the program that enqueues them.

require 'digest'
require 'json'
require 'sidekiq'

# The packaged versions of Sidekiq and of its client warn about each other.
Redis.silence_deprecations = true if defined?(Redis) && Redis.respond_to?(:silence_deprecations=)

Sidekiq.configure_server { |config| config.redis = { url: ENV.fetch('REDIS_URL') } }
Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch('REDIS_URL') } }

# Workers report more often than every five seconds.
if defined?(Sidekiq::Launcher::BEAT_PAUSE)
  Sidekiq::Launcher.send(:remove_const, :BEAT_PAUSE)
  Sidekiq::Launcher::BEAT_PAUSE = 0.2
end

# Reports which job ran, and a digest of its argument: the report is stored in clear.
class Letter
  include Sidekiq::Worker
  sidekiq_options retry: 3

  def perform(kind, text)
    Sidekiq.redis do |redis|
      raise 'the printer is on fire' if kind == 'fails once' && redis.incr('attempts') == 1

      # Until it was seen running.
      sleep 0.02 until kind != 'waits' || redis.get('seen')
      redis.rpush('report', JSON.generate([kind, Digest::SHA256.hexdigest(text)]))
    end
  end
end
