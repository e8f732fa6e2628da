# ruby.rb: see protocol.md.
require 'json'
require 'mysql2'

$stdin.set_encoding('UTF-8')
$stdout.sync = true

def connect
  Mysql2::Client.new(JSON.parse(File.read('/etc/dbpair/app/mysql2-ruby.json', encoding: 'UTF-8')))
end

def run(client, statement)
  raise 'not connected' unless client

  result = client.query(statement, as: :array)
  row = result && result.first
  row ? "ok\t#{row[0]}" : 'ok'
end

def report(error)
  code = error.is_a?(Mysql2::Error) ? error.error_number.to_i : 0
  ['error', code, error.class, error.message.tr("\t\n", '  ')].join("\t")
end

client = nil
line = 'connect'
until line.empty?
  begin
    if line == 'connect'
      client&.close
      client = nil
      client = connect
      answer = 'ok'
    else
      answer = run(client, line)
    end
  rescue StandardError => e
    answer = report(e)
  end
  puts answer
  line = $stdin.gets.to_s.chomp
end
