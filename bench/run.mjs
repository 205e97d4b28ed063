// Runs one benchmark by its name: `npm run bench -- storage-small-files`.
const [name, ...more] = process.argv.slice(2);
if (!/^[a-z-]+$/.test(name ?? "") || more.length > 0) {
  process.stderr.write("usage: npm run bench -- storage-small-files | queue-memory\n");
  process.exit(2);
}
await import(`./dist/${name}.js`);
