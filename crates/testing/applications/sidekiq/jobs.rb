# frozen_string_literal: true

# The jobs, loaded by the worker process and by the program that enqueues them.

require 'digest'
require 'json'
require 'sidekiq'

# The packaged versions of Sidekiq and of its client warn of each other.
Redis.silence_deprecations = true if defined?(Redis) && Redis.respond_to?(:silence_deprecations=)

Sidekiq.configure_server { |config| config.redis = { url: ENV.fetch('REDIS_URL') } }
Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch('REDIS_URL') } }

# Reports which job ran, and a digest of what it was given: the report is kept in clear.
class Letter
  include Sidekiq::Worker
  sidekiq_options retry: 3

  def perform(kind, text)
    Sidekiq.redis do |redis|
      raise 'the printer is on fire' if kind == 'fails once' && redis.incr('attempts') == 1

      redis.rpush('report', JSON.generate([kind, Digest::SHA256.hexdigest(text)]))
    end
  end
end
