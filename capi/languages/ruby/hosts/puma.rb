# frozen_string_literal: true

workers 3
threads 4, 4
preload_app!
bind "unix://#{ENV.fetch('SOCKET')}"
on_worker_boot { Watch.start }
