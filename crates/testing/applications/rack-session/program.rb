# frozen_string_literal: true

# A Rack application with its sessions in Redis (redis-rack), used by several browsers.

require_relative '../ruby/saw'
require 'rack'
require 'redis-rack'

APPLICATION = lambda do |environment|
  request = Rack::Request.new(environment)
  session = request.session
  case request.path
  when '/login'
    # A new id at login: the old record is deleted.
    session.options[:renew] = true
    session['name'] = secret(request.params['name'])
  when '/logout'
    session.options[:drop] = true
  when '/basket'
    (session['basket'] ||= []) << secret(request.params['add'])
  end
  session['visits'] = session.fetch('visits', 0) + 1
  seen = %w[name basket visits].to_h { |part| [part, session[part]] }
  [200, { 'Content-Type' => 'application/json' }, [JSON.generate(seen)]]
end

SERVER = "redis://#{HOST}:#{PORT}/0/rack:session"

def stack
  Rack::Session::Redis.new(APPLICATION, redis_server: SERVER, expire_after: 3600)
end

# A browser that keeps its cookie.
class Browser
  def initialize(application, cookie = nil)
    @request = Rack::MockRequest.new(application)
    @cookie = cookie
  end

  # Returns the page, and whether the session has a new id.
  def get(path)
    response = @request.get(path, @cookie ? { 'HTTP_COOKIE' => @cookie } : {})
    before = @cookie
    @cookie = response['Set-Cookie'].split(';').first if response['Set-Cookie']
    [*JSON.parse(response.body).values, before != @cookie]
  end

  # The same user in another process.
  def elsewhere
    Browser.new(stack, @cookie)
  end
end

ANA = Browser.new(stack)
EVA = Browser.new(stack)
BASKET = [secret('zapatos'), secret('sombrero')].freeze

versions('redis-rack' => Redis::Rack::VERSION, 'Rack' => Rack.release,
         'Redis client' => Gem.loaded_specs.fetch('redis').version)
step('sessions') do
  saw('first visit', ANA.get('/'), [nil, nil, 1, true])
  saw('second visit', ANA.get('/'), [nil, nil, 2, false])
  saw('login', ANA.get('/login?name=Ana'), [secret('Ana'), nil, 3, true])
  saw('after login', ANA.get('/'), [secret('Ana'), nil, 4, false])
  saw('basket', ANA.get('/basket?add=zapatos'), [secret('Ana'), BASKET.first(1), 5, false])
  saw('another browser', EVA.get('/login?name=Eva'), [secret('Eva'), nil, 1, true])
  saw('basket again', ANA.get('/basket?add=sombrero'), [secret('Ana'), BASKET, 6, false])
  saw('logout', EVA.get('/logout'), [secret('Eva'), nil, 2, false])
  saw('as new', EVA.get('/'), [nil, nil, 1, true])
end
step('several processes') do
  requests = 4.times.map do
    fork do
      name, basket, visits, = ANA.elsewhere.get('/')
      exit!([name, basket] == [secret('Ana'), BASKET] && visits > 6)
    end
  end
  saw('at once', requests.map { |pid| Process.wait2(pid).last.exitstatus }, [0, 0, 0, 0])
end
step('records') do
  redis = Redis.new(host: HOST, port: PORT.to_i)
  names = redis.keys('rack:session:*')
  saw('records', [names.size, names.all? { |name| redis.ttl(name) > 3000 }], [2, true])
end
finish
