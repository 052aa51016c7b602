// The proxy beside a Node.js application under pm2. How it is set up: docs/proxy/proxy.md.
//
// The key is not in this file and not in pm2's environment, which `pm2 save` writes to a file of its
// own: the proxy reads it from `.env` in its working directory, mode 0600:
//
//   REDIS_ENCRYPTION_KEY=...        64 hexadecimal characters
//   ENABLE_REDIS_ENCRYPTION=true
//   REDIS_URL=redis://127.0.0.1:6379

module.exports = {
  apps: [
    {
      name: 'waxseal-proxy',
      script: 'waxseal', // in the path, or with its directory
      interpreter: 'none', // a binary, not a script of Node.js
      args: [
        'proxy',
        '--protect', 'wa:*',
        '--listen', '127.0.0.1:6380',
        '--admin', '127.0.0.1:9180',
        '--grace', '30',
      ],
      cwd: '/etc/waxseal', // where .env and waxseal.toml are: of this user or root, and writable for nobody else
      exec_mode: 'fork', // it has threads of its own; two could not listen on one port
      instances: 1,
      kill_timeout: 35000, // longer than --grace, in milliseconds
      stop_exit_codes: [64], // a mistake in the configuration: starting again does not mend it
      exp_backoff_restart_delay: 200,
      merge_logs: true,
    },
  ],
};
