// node.js: see protocol.md.
const fs = require('fs');
const readline = require('readline');
const mysql = require('mysql2');

let connection = null;

function connect() {
  return new Promise((resolve, reject) => {
    connection = mysql.createConnection(JSON.parse(fs.readFileSync('/etc/dbpair/app/mysql2.json')));
    // An error of an idle connection comes as an event; the next statement reports it too.
    connection.on('error', () => {});
    connection.connect((error) => (error ? reject(error) : resolve('ok')));
  });
}

function run(statement) {
  return new Promise((resolve, reject) => {
    // mysql2 has no read timeout of a connection.
    connection.query({ sql: statement, rowsAsArray: true, timeout: 10000 }, (error, rows) => {
      if (error) reject(error);
      else resolve(Array.isArray(rows) && rows.length ? 'ok\t' + rows[0][0] : 'ok');
    });
  });
}

async function answer(line) {
  try {
    return line === 'connect' ? await connect() : await run(line);
  } catch (error) {
    return ['error', error.errno || error.code || '', error.code || error.name, error.message.replace(/[\t\n]/g, ' ')].join('\t');
  }
}

async function main() {
  console.log(await answer('connect'));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line === '') break;
    console.log(await answer(line));
  }
  process.exit(0);
}

main();
